// Convolutions with 3 x 3 taps and stride 1 by minimal filtering (Winograd's F(2 x 2, 3 x 3),
// arXiv:1509.09308): 16 products in place of 36 for a tile, four neighbouring outputs.
//
// Along an axis the outputs y0, y1 of the inputs d0 ... d3 and taps g0 ... g2 are
//
//    m0 = (d0 - d2) g0                       m1 = (d1 + d2) (g0 + g1 + g2) / 2      y0 = m0 + m1 + m2
//    m2 = (d2 - d1) (g0 - g1 + g2) / 2       m3 = (d1 - d3) g2                      y1 = m1 - m2 - m3
//
// and the same across. Inputs are spread once for all channels of the output, products are added up over the
// channels of the input, and the sums are gathered. The factors of the taps are worked out by the generator
// (export/cpp/winograd.py), so that only sums and differences are left here: the rounding errors are as small
// as those of the direct sum. As there, an output depends on the nine inputs of its own window alone.
//
// Images are read and written pixel after pixel, with all channels side by side. In blocks of events a
// register holds one channel of 16 events, for one event 16 channels. Both add in the same order.
#pragma once

#include "convolution_event.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

struct Winograd {
   std::size_t images;                                            // several in graphs without a batch axis
   std::size_t height, width, above, left, height_out, width_out; // with zeros above and to the left

   constexpr std::size_t tiles_across() const { return (width_out + 1) / 2; }
};

constexpr std::size_t tile_places = 16;    // products of a tile, 4 x 4
constexpr std::size_t tiles_of_blocks = 3; // summed together in blocks of events

// One transform along an axis, of the inputs and of the sums.
template <class V> HEPML_ROOT_INLINE void spread(V d0, V d1, V d2, V d3, V (&t)[4]) {
   t[0] = d0 - d2;
   t[1] = d1 + d2;
   t[2] = d2 - d1;
   t[3] = d1 - d3;
}
template <class V> HEPML_ROOT_INLINE void gather(V m0, V m1, V m2, V m3, V& y0, V& y1) {
   y0 = m0 + m1 + m2;
   y1 = m1 - m2 - m3;
}

// Zero where there is nothing; without a branch where it can be.
template <class V> HEPML_ROOT_INLINE V load_if(bool there, const float* from) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16)
      return V(_mm512_maskz_loadu_ps(static_cast<__mmask16>(-static_cast<int>(there)), from));
#endif
   return there ? load<V>(from) : V{};
}

// The inputs of one tile, one register of them: from the pixel (top, left) on, which may lie outside of the
// image. What is not less than its height or width, when unsigned, is zero. Distances are in floats.
template <class V, std::size_t Pixel, std::size_t PlaceStep, bool Inside>
HEPML_ROOT_INLINE void spread_tile(const float* corner, const Winograd& c, std::size_t top, std::size_t left,
                                   float* values) {
   const std::size_t row = c.width * Pixel;
   V t[4][4];
   HEPML_ROOT_UNROLL
   for (std::size_t j = 0; j < 4; ++j) {
      V d[4];
      HEPML_ROOT_UNROLL
      for (std::size_t i = 0; i < 4; ++i)
         d[i] =
             load_if<V>(Inside || (top + i < c.height && left + j < c.width), corner + i * row + j * Pixel);
      spread<V>(d[0], d[1], d[2], d[3], t[j]);
   }
   HEPML_ROOT_UNROLL
   for (std::size_t i = 0; i < 4; ++i) {
      V places[4];
      spread<V>(t[0][i], t[1][i], t[2][i], t[3][i], places);
      HEPML_ROOT_UNROLL
      for (std::size_t j = 0; j < 4; ++j)
         store<V>(values + (i * 4 + j) * PlaceStep, places[j]);
   }
}

// `Registers` registers, Step floats apart, of each of `tiles` tiles.
template <class V, std::size_t Registers, std::size_t Step, std::size_t Pixel, std::size_t PlaceStep>
HEPML_ROOT_INLINE void spread_tiles(const float* x, const Winograd& c, std::size_t first, std::size_t tiles,
                                    float* values, std::size_t tile_step, std::size_t register_step) {
   const std::size_t across = c.tiles_across();
   std::size_t row = first / across, column = first % across;
   for (std::size_t t = 0; t < tiles; ++t, values += tile_step) {
      const std::size_t top = 2 * row - c.above, left = 2 * column - c.left;
      const float* corner = x + static_cast<std::ptrdiff_t>((top * c.width + left) * Pixel);
      float* to = values;
      if (top < c.height && top + 3 < c.height && left < c.width && left + 3 < c.width)
         for (std::size_t i = 0; i < Registers; ++i, corner += Step, to += register_step)
            spread_tile<V, Pixel, PlaceStep, true>(corner, c, top, left, to);
      else
         for (std::size_t i = 0; i < Registers; ++i, corner += Step, to += register_step)
            spread_tile<V, Pixel, PlaceStep, false>(corner, c, top, left, to);
      if (++column == across) {
         column = 0;
         ++row;
      }
   }
}

// One register of the outputs of a tile, of sums that are place_step floats apart, at (row, column) of the
// tiles; put(y, pixel) stores one of them. The largest of the four, if they are pooled.
template <class V, bool Relu, bool Pool, class Put>
HEPML_ROOT_INLINE void gather_tile(const float* sums, const Winograd& c, std::size_t row, std::size_t column,
                                   std::size_t place_step, const Put& put) {
   V half[2][4], y[2][2];
   HEPML_ROOT_UNROLL
   for (std::size_t j = 0; j < 4; ++j)
      gather<V>(load<V>(sums + j * place_step), load<V>(sums + (4 + j) * place_step),
                load<V>(sums + (8 + j) * place_step), load<V>(sums + (12 + j) * place_step), half[0][j],
                half[1][j]);
   HEPML_ROOT_UNROLL
   for (std::size_t i = 0; i < 2; ++i)
      gather<V>(half[i][0], half[i][1], half[i][2], half[i][3], y[i][0], y[i][1]);
   const auto finished = [](V value) __attribute__((always_inline)) {
      return Relu ? clip_below<V>(value, V{}) : value;
   };
   if constexpr (Pool) {
      if (2 * row + 1 < c.height_out && 2 * column + 1 < c.width_out)
         put(finished(maximum(maximum(y[0][0], y[1][0]), maximum(y[0][1], y[1][1]))),
             row * (c.width_out / 2) + column);
   } else {
      HEPML_ROOT_UNROLL
      for (std::size_t i = 0; i < 2; ++i) {
         HEPML_ROOT_UNROLL
         for (std::size_t j = 0; j < 2; ++j)
            if (2 * row + i < c.height_out && 2 * column + j < c.width_out)
               put(finished(y[i][j]), (2 * row + i) * c.width_out + 2 * column + j);
      }
   }
}

// ---- events in lanes ------------------------------------------------------------------------------------

// For every place, R channels of P tiles: sums over the inputs of values times weights. The bias is added at
// the place (1, 1), which counts for all four outputs.
template <class V, std::size_t Inputs, std::size_t R, std::size_t P, std::size_t PlaceStep>
__attribute__((noinline)) void products_of_block(const float* values, const float* weights, const float* bias,
                                                 float* sums) {
   for (std::size_t place = 0; place < tile_places; ++place) {
      Accumulator<V> sum[R][P];
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
         HEPML_ROOT_UNROLL
         for (std::size_t p = 0; p < P; ++p)
            sum[r][p] = accumulator<V>(place == 5 ? splat<V>(bias[r]) : V{});
      }
      const float* from = values + place * PlaceStep;
      const auto add_input = [&]() __attribute__((always_inline)) {
         V value[P];
         HEPML_ROOT_UNROLL
         for (std::size_t p = 0; p < P; ++p)
            value[p] = load<V>(from + p * width<V>);
         HEPML_ROOT_UNROLL
         for (std::size_t r = 0; r < R; ++r) {
            const V weight = splat<V>(weights[r]);
            HEPML_ROOT_UNROLL
            for (std::size_t p = 0; p < P; ++p)
               add_product<V>(sum[r][p], weight, value[p]);
         }
         from += P * width<V>;
         weights += tile_neurons;
      };
      std::size_t i = 0;
      if constexpr (inputs_per_turn > 1)
         for (; i + inputs_per_turn <= Inputs; i += inputs_per_turn) {
            HEPML_ROOT_UNROLL
            for (std::size_t j = 0; j < inputs_per_turn; ++j)
               add_input();
         }
      for (; i < Inputs; ++i)
         add_input();
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
         HEPML_ROOT_UNROLL
         for (std::size_t p = 0; p < P; ++p, sums += width<V>)
            store<V>(sums, rounded<V>(sum[r][p]));
      }
   }
}

template <class M, std::size_t Groups, std::size_t Channels, std::size_t Inputs, std::size_t Tiles, bool Relu,
          bool Pool, class F>
__attribute__((noinline)) void winograd_of_block(const Winograd& c, const float* x, const float* w,
                                                 const float* bias, float* y, float* scratch,
                                                 const F& epilogue) {
   using V = typename M::V;
   constexpr std::size_t lanes = M::lanes, padded_channels = padded(Channels);
   // The register that is left out keeps the places apart in the cache.
   constexpr std::size_t place_step = (Inputs * tiles_of_blocks + 1) * width<V>;
   float* const sums = scratch + tile_places * place_step;
   constexpr std::size_t pixel = Groups * Inputs * lanes, channels = Groups * Channels;
   const std::size_t pixels_out = Pool ? (c.height_out / 2) * (c.width_out / 2) : c.height_out * c.width_out;
   for (std::size_t image = 0; image < c.images; ++image)
      for (std::size_t g = 0; g < Groups; ++g) {
         const float* const from = x + image * c.height * c.width * pixel + g * Inputs * lanes;
         float* const to = y + (image * pixels_out * channels + g * Channels) * lanes;
         pixel_tiles<tiles_of_blocks>(0, Tiles, [&](auto p, std::size_t first) {
            constexpr std::size_t P = decltype(p)::value;
            for (std::size_t v = 0; v < M::vectors; ++v) {
               spread_tiles<V, Inputs, lanes, pixel, place_step>(from + v * width<V>, c, first, P, scratch,
                                                                 width<V>, P * width<V>);
               channel_passes<Channels>([&](auto r, std::size_t channel) {
                  constexpr std::size_t R = decltype(r)::value;
                  products_of_block<V, Inputs, R, P, place_step>(
                      scratch,
                      w +
                          (g * padded_channels + channel / tile_neurons * tile_neurons) * tile_places *
                              Inputs +
                          channel % tile_neurons,
                      bias + g * Channels + channel, sums);
                  for (std::size_t t = 0; t < P; ++t)
                     for (std::size_t n = 0; n < R; ++n)
                        gather_tile<V, Relu, Pool>(
                            sums + (n * P + t) * width<V>, c, (first + t) / c.tiles_across(),
                            (first + t) % c.tiles_across(), R * P * width<V>,
                            [&](V value, std::size_t at) __attribute__((always_inline)) {
                               store<V>(to + (at * channels + channel + n) * lanes + v * width<V>,
                                        epilogue(value, typename M::At{0, v}));
                            });
               });
            }
         });
      }
}

// ---- one event: channels in lanes -----------------------------------------------------------------------

// The same for P tiles of Registers registers of channels.
template <std::size_t Inputs, std::size_t Registers, std::size_t P, std::size_t TileStep,
          std::size_t PlaceStep>
__attribute__((noinline)) void products_of_event(const float* values, const float* weights, const float* bias,
                                                 float* sums) {
   using V = Single::V;
   constexpr std::size_t per_tile = tile_neurons / width<V>;
   for (std::size_t place = 0; place < tile_places; ++place) {
      Accumulator<V> sum[P][Registers];
      HEPML_ROOT_UNROLL_MORE
      for (std::size_t c = 0; c < Registers; ++c) {
         HEPML_ROOT_UNROLL_MORE
         for (std::size_t p = 0; p < P; ++p)
            sum[p][c] = accumulator<V>(place == 5 ? load<V>(bias + c * width<V>) : V{});
      }
      const float* from = values + place * PlaceStep;
      const float* of_place = weights + place * Inputs * tile_neurons;
      const auto add_input = [&]() __attribute__((always_inline)) {
         V weight[Registers];
         HEPML_ROOT_UNROLL_MORE
         for (std::size_t c = 0; c < Registers; ++c)
            weight[c] = load<V>(of_place + c / per_tile * (tile_places * Inputs * tile_neurons) +
                                c % per_tile * width<V>);
         HEPML_ROOT_UNROLL_MORE
         for (std::size_t p = 0; p < P; ++p) {
            const V input = splat<V>(from[p * TileStep]);
            HEPML_ROOT_UNROLL_MORE
            for (std::size_t c = 0; c < Registers; ++c)
               add_product<V>(sum[p][c], input, weight[c]);
         }
         ++from;
         of_place += tile_neurons;
      };
      std::size_t i = 0;
      if constexpr (inputs_per_turn > 1)
         for (; i + inputs_per_turn <= Inputs; i += inputs_per_turn) {
            HEPML_ROOT_UNROLL
            for (std::size_t j = 0; j < inputs_per_turn; ++j)
               add_input();
         }
      // Written out: so short a loop would be left by a wrong guess every time.
      HEPML_ROOT_UNROLL
      for (; i < Inputs; ++i)
         add_input();
      HEPML_ROOT_UNROLL_MORE
      for (std::size_t p = 0; p < P; ++p) {
         HEPML_ROOT_UNROLL_MORE
         for (std::size_t c = 0; c < Registers; ++c, sums += width<V>)
            store<V>(sums, rounded<V>(sum[p][c]));
      }
   }
}

template <std::size_t Groups, std::size_t Channels, std::size_t Inputs, std::size_t Tiles, bool Relu,
          bool Pool, class F>
__attribute__((noinline)) void winograd_of_event(const Winograd& c, const float* x, const float* w,
                                                 const float* bias, float* y, float* scratch,
                                                 const F& epilogue) {
   using V = Single::V;
   constexpr EventTile shape = event_tile(Channels, Tiles);
   constexpr std::size_t tiles = padded(Channels) / tile_neurons, per_tile = tile_neurons / width<V>;
   constexpr std::size_t registers = shape.tiles * per_tile, P = shape.pixels;
   constexpr std::size_t tile_step = padded(Inputs), place_step = P * tile_step + tile_neurons;
   float* const sums = scratch + tile_places * place_step;
   constexpr std::size_t pixel = Groups * Inputs, channels = Groups * Channels;
   const std::size_t pixels_out = Pool ? (c.height_out / 2) * (c.width_out / 2) : c.height_out * c.width_out;
   for (std::size_t image = 0; image < c.images; ++image)
      for (std::size_t g = 0; g < Groups; ++g)
         for (std::size_t begin = 0; begin < Tiles; begin += P) {
            // The last ones are some once more.
            const std::size_t first = begin + P <= Tiles ? begin : Tiles - P;
            spread_tiles<V, tile_step / width<V>, width<V>, pixel, place_step>(
                x + image * c.height * c.width * pixel + g * Inputs, c, first, P, scratch, tile_step,
                width<V>);
            for (std::size_t tile = 0; tile < tiles; tile += shape.tiles) {
               products_of_event<Inputs, registers, P, tile_step, place_step>(
                   scratch, w + (g * tiles + tile) * tile_neurons * tile_places * Inputs,
                   bias + g * Channels + tile * tile_neurons, sums);
               std::size_t row = first / c.tiles_across(), column = first % c.tiles_across();
               for (std::size_t t = 0; t < P; ++t) {
                  for (std::size_t n = 0; n < registers; ++n) {
                     const std::size_t channel = tile * tile_neurons + n * width<V>;
                     if (channel >= Channels)
                        break;
                     float* const to = y + image * pixels_out * channels + g * Channels + channel;
                     gather_tile<V, Relu, Pool>(
                         sums + (t * registers + n) * width<V>, c, row, column, P * registers * width<V>,
                         [&](V value, std::size_t at) __attribute__((always_inline)) {
                            const V result = epilogue(value, Single::At{0, 0});
                            if (Channels % width<V> == 0 || channel + width<V> <= Channels)
                               store<V>(to + at * channels, result);
                            else
                               store_part<V, Channels % width<V>>(to + at * channels, result);
                         });
                  }
                  if (++column == c.tiles_across()) {
                     column = 0;
                     ++row;
                  }
               }
            }
         }
}

// Tiles are those of an image; Pool takes the largest output of each.
template <class M, std::size_t Groups, std::size_t Channels, std::size_t Inputs, std::size_t Tiles, bool Relu,
          bool Pool, class F>
HEPML_ROOT_INLINE void winograd(const Winograd& c, const float* x, const float* w, const float* bias,
                                float* y, float* scratch, const F& epilogue) {
   if constexpr (M::single)
      winograd_of_event<Groups, Channels, Inputs, Tiles, Relu, Pool>(c, x, w, bias, y, scratch, epilogue);
   else
      winograd_of_block<M, Groups, Channels, Inputs, Tiles, Relu, Pool>(c, x, w, bias, y, scratch, epilogue);
}

// ---- the order of pixels and channels -------------------------------------------------------------------

// Images from channel after channel to pixel after pixel; of one event, up to 16 floats more are written.
template <class M>
__attribute__((noinline)) void channels_last(const float* x, std::size_t images, std::size_t channels,
                                             std::size_t pixels, float* y) {
   for (; images > 0; --images, x += channels * pixels * M::lanes, y += channels * pixels * M::lanes)
      if constexpr (M::single)
         channels_together(x, pixels, pixels, channels, y);
      else
         for (std::size_t p = 0; p < pixels; ++p)
            for (std::size_t c = 0; c < channels; ++c)
               std::memcpy(y + (p * channels + c) * M::lanes, x + (c * pixels + p) * M::lanes,
                           M::lanes * sizeof(float));
}

// The way back.
template <class M>
__attribute__((noinline)) void channels_first(const float* x, std::size_t images, std::size_t channels,
                                              std::size_t pixels, float* y) {
   for (; images > 0; --images, x += channels * pixels * M::lanes, y += channels * pixels * M::lanes)
      if constexpr (M::single)
         for (std::size_t c = 0; c < channels; c += tile_neurons)
            channels_apart(x + c, channels, pixels, channels - c < tile_neurons ? channels - c : tile_neurons,
                           y + c * pixels);
      else
         for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t p = 0; p < pixels; ++p)
               std::memcpy(y + (c * pixels + p) * M::lanes, x + (p * channels + c) * M::lanes,
                           M::lanes * sizeof(float));
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine

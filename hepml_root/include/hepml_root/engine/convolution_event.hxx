// Convolutions of one event, in one of two ways.
//
//   - Pixels in lanes: of planes of single channels with a frame of zeros; the pixels of a plane are walked
//     through in one go, and those that fall into the frame are dropped. For few channels.
//   - Channels in lanes: of pixels with all channels side by side; each input is broadcast and used for some
//     registers of 16 weights. Needs no unaligned registers, and wastes none at the ends of rows.
#pragma once

#include "convolution.hxx"
#include "shuffle.hxx"

// Up to 24 sums beside each other, more than elsewhere.
#if defined(__clang__)
#define HEPML_ROOT_UNROLL_MORE _Pragma("unroll")
#else
#define HEPML_ROOT_UNROLL_MORE _Pragma("GCC unroll 24")
#endif

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// ---- pixels in lanes -------------------------------------------------------------------------

// The planes of one image: every channel, with its frame, as one plane for each remainder of the places by
// the strides, so that neighbouring outputs have neighbouring inputs.
inline void take_planes(const Convolution& c, const float* x, float* planes) {
   const Axis &depth = c.axis[0], &height = c.axis[1], &wide = c.axis[2];
   for (std::size_t channel = 0; channel < c.groups * c.inputs; ++channel)
      for (std::size_t d = 0; d < depth.in; ++d)
         for (std::size_t h = 0; h < height.in; ++h, x += wide.in) {
            const std::size_t in_d = d + depth.before, in_h = h + height.before;
            const std::size_t of_d = in_d / depth.stride, of_h = in_h / height.stride;
            if (of_d >= depth.plane || of_h >= height.plane)
               continue; // beyond the last window
            const std::size_t part = in_d % depth.stride * height.stride + in_h % height.stride;
            for (std::size_t s = 0; s < wide.stride; ++s) {
               // The first input whose place in the frame has the remainder s, and its place.
               const std::size_t skip = (s + wide.stride - wide.before % wide.stride) % wide.stride;
               const std::size_t place = (skip + wide.before) / wide.stride;
               float* const to =
                   planes +
                   ((((channel * depth.stride * height.stride + part) * wide.stride + s) * depth.plane +
                     of_d) *
                        height.plane +
                    of_h) *
                       wide.plane;
               for (std::size_t i = skip, q = place; i < wide.in && q < wide.plane; i += wide.stride, ++q)
                  to[q] = x[i];
            }
         }
}

template <std::size_t Channels, std::size_t MostTaps, bool Relu, class F>
__attribute__((noinline)) void convolution_by_pixels(const Convolution& c, const float* x, const float* w,
                                                     const float* bias, float* y, float* scratch,
                                                     const F& epilogue) {
   using V = Single::V;
   constexpr std::size_t tile = tile_channels(Channels);
   constexpr std::size_t padded_channels = (Channels + tile - 1) / tile * tile;
   const Axis &depth = c.axis[0], &height = c.axis[1], &wide = c.axis[2];
   const std::size_t plane = depth.plane * height.plane * wide.plane;
   const std::size_t channel_floats = plane * depth.stride * height.stride * wide.stride;
   const std::size_t floats = padded(c.groups * c.inputs * channel_floats + tile_neurons);
   float* const sums = scratch + floats;
   TapRow rows[MostTaps];
   Taps taps{};
   taps.row = rows;
   taps.runs = 1;
   taps.length = c.inputs;
   taps.step = channel_floats;
   taps.pixel_step = taps.y_pixel = width<V>;
   taps.row_weights = c.inputs * tile;
   std::memset(scratch, 0, floats * sizeof(float));
   for (std::size_t image = 0; image < c.images; ++image) {
      take_planes(c, x + image * c.groups * c.inputs * c.pixels(), scratch);
      for (std::size_t phases = 0; phases < depth.phases * height.phases * wide.phases; ++phases) {
         const std::size_t phase_w = phases % wide.phases, phase_h = phases / wide.phases % height.phases;
         const std::size_t phase_d = phases / wide.phases / height.phases;
         const Phase &through = depth.phase[phase_d], &down = height.phase[phase_h],
                     &across = wide.phase[phase_w];
         const std::size_t depths = depth.outputs(phase_d), heights = height.outputs(phase_h),
                           widths = wide.outputs(phase_w);
         if (depths == 0 || heights == 0 || widths == 0)
            continue;
         taps.rows = through.taps * down.taps * across.taps;
         for (std::size_t t = 0; t < taps.rows; ++t) {
            const std::size_t in_d = t / across.taps / down.taps * depth.step + through.first + depth.before;
            const std::size_t in_h = t / across.taps % down.taps * height.step + down.first + height.before;
            const std::size_t in_w = t % across.taps * wide.step + across.first + wide.before;
            const std::size_t part =
                (in_d % depth.stride * height.stride + in_h % height.stride) * wide.stride +
                in_w % wide.stride;
            rows[t] = {scratch + part * plane +
                           (in_d / depth.stride * height.plane + in_h / height.stride) * wide.plane +
                           in_w / wide.stride,
                       t};
         }
         const std::size_t pixels = ((depths - 1) * height.plane + heights - 1) * wide.plane + widths;
         taps.y_channel = padded(pixels);
         for (std::size_t g = 0; g < c.groups; ++g)
            channel_passes<Channels>([&](auto r, std::size_t channel) {
               constexpr std::size_t R = decltype(r)::value;
               const float* const weights = w + (g * c.taps + c.first[phases]) * c.inputs * padded_channels +
                                            weights_of_channel<Channels>(channel, taps.rows * c.inputs);
               pixel_tiles<tile_pixels(R)>(
                   0, (pixels + width<V> - 1) / width<V>, [&](auto p, std::size_t first) {
                      convolution_tile<V, R, decltype(p)::value, tile, Relu>(
                          taps, g * c.inputs * channel_floats + first * width<V>, weights,
                          bias + g * Channels + channel, sums + first * width<V>);
                   });
               for (std::size_t i = 0; i < R; ++i)
                  for (std::size_t d = 0; d < depths; ++d)
                     for (std::size_t h = 0; h < heights; ++h) {
                        const float* const from =
                            sums + i * taps.y_channel + (d * height.plane + h) * wide.plane;
                        float* const to = y +
                                          (((image * c.groups + g) * Channels + channel + i) * depth.out +
                                           d * depth.phases + phase_d) *
                                              height.out * wide.out +
                                          (h * height.phases + phase_h) * wide.out + phase_w;
                        for (std::size_t k = 0; k < widths; ++k)
                           to[k * wide.phases] = from[k];
                     }
            });
      }
   }
   if constexpr (!std::is_same_v<F, Identity>)
      finish<Single>(y, 0, c.images * c.groups * Channels * c.pixels_out(), epilogue);
}

// ---- channels in lanes ----------------------------------------------------------------------------------

// Tiles of weights and pixels that are summed together: the register file full of sums, few loads for each.
struct EventTile {
   std::size_t tiles, pixels;
};
constexpr EventTile event_tile(std::size_t channels, std::size_t row) {
   constexpr std::size_t registers = tile_neurons / HEPML_ROOT_LANES, most = HEPML_ROOT_LANES == 16 ? 24 : 12;
   const std::size_t all = (channels + tile_neurons - 1) / tile_neurons;
   EventTile best{1, 1};
   double best_rate = 0;
   for (std::size_t tiles = 1; tiles <= 4 && tiles <= all; ++tiles)
      if (all % tiles == 0 && tiles * registers <= most) {
         for (std::size_t pixels = 1; pixels <= row && pixels * tiles * registers <= most; ++pixels) {
            const std::size_t parts = (row + pixels - 1) / pixels;
            // Cycles for one input: two sums or two loads each, and four for a sum to be ready.
            const std::size_t sums = tiles * registers * pixels, loads = tiles * registers + pixels;
            const double cycles = sums > loads ? (sums > 8 ? sums : 8) : (loads > 8 ? loads : 8);
            const double rate = double(tiles * registers) * double(row) / double(parts) / cycles;
            if (rate >= best_rate) {
               best = {tiles, pixels};
               best_rate = rate;
            }
         }
      }
   return best;
}

// P pixels of Tiles tiles of 16 channels. Inputs of neighbouring pixels are PixelStep floats apart.
template <std::size_t Tiles, std::size_t P, std::size_t PixelStep, bool Relu>
__attribute__((noinline)) void channels_tile(const Taps& taps, std::size_t x, const float* weights,
                                             std::size_t tile_weights, const float* bias, float* y) {
   using V = Single::V;
   constexpr std::size_t per_tile = tile_neurons / width<V>, registers = Tiles * per_tile;
   Accumulator<V> sum[P][registers];
   HEPML_ROOT_UNROLL_MORE
   for (std::size_t c = 0; c < registers; ++c) {
      HEPML_ROOT_UNROLL_MORE
      for (std::size_t p = 0; p < P; ++p)
         sum[p][c] = accumulator<V>(load<V>(bias + c * width<V>));
   }
   const std::size_t length = taps.length;
   for (std::size_t row = 0; row < taps.rows; ++row) {
      const float* run = taps.row[row].x + x;
      const float* w = weights + taps.row[row].tap * taps.row_weights;
      for (std::size_t i = 0; i < taps.runs; ++i, run += taps.run_step) {
         const auto add_input = [&](std::size_t k) __attribute__((always_inline)) {
            const float* const from = read_anew(run + k);
            V weight[registers];
            HEPML_ROOT_UNROLL_MORE
            for (std::size_t c = 0; c < registers; ++c)
               weight[c] = load<V>(w + c / per_tile * tile_weights + c % per_tile * width<V>);
            HEPML_ROOT_UNROLL_MORE
            for (std::size_t p = 0; p < P; ++p) {
               const V input = splat<V>(from[p * PixelStep]);
               HEPML_ROOT_UNROLL_MORE
               for (std::size_t c = 0; c < registers; ++c)
                  add_product<V>(sum[p][c], input, weight[c]);
            }
            w += tile_neurons;
         };
         std::size_t k = 0;
         if constexpr (inputs_per_turn > 1)
            for (; k + inputs_per_turn <= length; k += inputs_per_turn) {
               HEPML_ROOT_UNROLL
               for (std::size_t j = 0; j < inputs_per_turn; ++j)
                  add_input(k + j);
            }
         for (; k < length; ++k)
            add_input(k);
      }
   }
   HEPML_ROOT_UNROLL_MORE
   for (std::size_t p = 0; p < P; ++p) {
      HEPML_ROOT_UNROLL_MORE
      for (std::size_t c = 0; c < registers; ++c) {
         const V result = rounded<V>(sum[p][c]);
         store<V>(y + p * taps.y_pixel + c * width<V>, Relu ? clip_below<V>(result, V{}) : result);
      }
   }
}

// `pixels` pixels of `channels` neighbouring channels, from channel after channel to pixel after pixel. What
// is written behind the last channel of a pixel is garbage: the next pixel comes later.
inline void channels_together(const float* x, std::size_t plane, std::size_t pixels, std::size_t channels,
                              float* y) {
   using V = Single::V;
   constexpr std::size_t w = width<V>;
   if (channels == 1) {
      std::memcpy(y, x, pixels * sizeof(float));
      return;
   }
#ifdef HEPML_ROOT_SHUFFLE
   if (channels >= w / 2) {
      for (std::size_t i = 0; i < pixels; i += w)
         for (std::size_t last = (channels + w - 1) / w * w; last > 0; last -= w) {
            const std::size_t first = last - w;
            V square[w];
            for (std::size_t c = 0; c < w; ++c)
               square[c] = first + c < channels ? load<V>(x + (first + c) * plane + i) : V{};
            transpose<w / 2>(square);
            for (std::size_t e = 0; e < w && i + e < pixels; ++e)
               store<V>(y + (i + e) * channels + first, square[e]);
         }
      return;
   }
#endif
   for (std::size_t i = 0; i < pixels; ++i)
      for (std::size_t c = 0; c < channels; ++c)
         y[i * channels + c] = x[c * plane + i];
}

// The way back, from pixels `stride` floats apart, for at most 16 channels.
inline void channels_apart(const float* x, std::size_t stride, std::size_t pixels, std::size_t channels,
                           float* y) {
   using V = Single::V;
   constexpr std::size_t w = width<V>;
#ifdef HEPML_ROOT_SHUFFLE
   if (pixels >= w) {
      for (std::size_t begin = 0; begin < pixels; begin += w)
         for (std::size_t first = 0; first < channels; first += w) {
            const std::size_t i = begin + w <= pixels ? begin : pixels - w; // the last ones once more
            V square[w];
            for (std::size_t e = 0; e < w; ++e)
               square[e] = load<V>(x + (i + e) * stride + first);
            transpose<w / 2>(square);
            for (std::size_t c = 0; c < w && first + c < channels; ++c)
               store<V>(y + (first + c) * pixels + i, square[c]);
         }
      return;
   }
#endif
   for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t i = 0; i < pixels; ++i)
         y[c * pixels + i] = x[i * stride + c];
}

// Last, for whole tiles of channels: sums are where the results belong.
template <std::size_t Channels, std::size_t MostRows, std::size_t Row, std::size_t PixelStep, bool Last,
          bool Relu, class F>
__attribute__((noinline)) void convolution_by_channels(const Convolution& c, const float* x, const float* w,
                                                       const float* bias, float* y, float* scratch,
                                                       const F& epilogue) {
   constexpr EventTile shape = event_tile(Channels, Row);
   constexpr std::size_t tiles = (Channels + tile_neurons - 1) / tile_neurons;
   static_assert(!Last || Channels % tile_neurons == 0);
   constexpr std::size_t stored = Last ? Channels : shape.tiles * tile_neurons; // floats of a pixel of sums
   const Axis &depth = c.axis[0], &height = c.axis[1], &wide = c.axis[2];
   const std::size_t row_floats = wide.framed * c.inputs, rows_of_group = depth.in * height.in;
   const std::size_t plane_out = c.pixels_out();
   float* sums = scratch + padded(c.groups * rows_of_group * row_floats + tile_neurons);
   TapRow rows[MostRows];
   Taps taps{};
   taps.row = rows;
   taps.run_step = wide.step * c.inputs;
   taps.y_pixel = wide.phases * stored;
   for (std::size_t image = 0; image < c.images; ++image) {
      for (std::size_t g = 0; g < c.groups; ++g)
         for (std::size_t i = 0; i < rows_of_group; ++i) {
            float* const row = scratch + (g * rows_of_group + i) * row_floats;
            const std::size_t begin = wide.before * c.inputs, end = begin + wide.in * c.inputs;
            std::memset(row, 0, begin * sizeof(float));
            channels_together(x + (image * c.groups + g) * c.inputs * c.pixels() + i * wide.in, c.pixels(),
                              wide.in, c.inputs, row + begin);
            std::memset(row + end, 0, (row_floats - end) * sizeof(float));
         }
      for (std::size_t g = 0; g < c.groups; ++g)
         for (std::size_t tile = 0; tile < tiles; tile += shape.tiles) {
            if constexpr (Last)
               sums = y + image * plane_out * Channels + tile * tile_neurons;
            for (std::size_t d = 0; d < depth.out; ++d)
               for (std::size_t h = 0; h < height.out; ++h) {
                  const std::size_t phase_d = d % depth.phases, phase_h = h % height.phases;
                  const Phase &through = depth.phase[phase_d], &down = height.phase[phase_h];
                  taps.rows = 0;
                  for (std::size_t i = 0; i < through.taps; ++i)
                     for (std::size_t j = 0; j < down.taps; ++j) {
                        const std::size_t in_d =
                            d / depth.phases * depth.stride + i * depth.step + through.first;
                        const std::size_t in_h =
                            h / height.phases * height.stride + j * height.step + down.first;
                        if (in_d < depth.in && in_h < height.in)
                           rows[taps.rows++] = {scratch +
                                                    ((g * depth.in + in_d) * height.in + in_h) * row_floats,
                                                i * down.taps + j};
                     }
                  for (std::size_t phase_w = 0; phase_w < wide.phases; ++phase_w) {
                     const Phase& across = wide.phase[phase_w];
                     const bool contiguous = wide.step == 1 || across.taps <= 1;
                     taps.runs = contiguous ? 1 : across.taps;
                     taps.length = contiguous ? across.taps * c.inputs : c.inputs;
                     taps.row_weights = across.taps * c.inputs * tile_neurons;
                     const std::size_t first =
                         c.first[(phase_d * height.phases + phase_h) * wide.phases + phase_w];
                     const std::size_t tile_weights =
                         through.taps * down.taps * across.taps * c.inputs * tile_neurons;
                     const float* const weights =
                         w + (g * c.taps + first) * c.inputs * tiles * tile_neurons + tile * tile_weights;
                     const std::size_t start =
                         across.taps == 0
                             ? 0
                             : static_cast<std::size_t>(across.first + std::ptrdiff_t(wide.before)) *
                                   c.inputs;
                     const std::size_t pixels = wide.outputs(phase_w);
                     for (std::size_t begin = 0; begin < pixels; begin += shape.pixels) {
                        // The last tile takes some pixels once more.
                        const std::size_t p = begin + shape.pixels <= pixels ? begin : pixels - shape.pixels;
                        const std::size_t place = (d * height.out + h) * wide.out + p * wide.phases + phase_w;
                        channels_tile<shape.tiles, shape.pixels, PixelStep, Relu>(
                            taps, start + p * PixelStep, weights, tile_weights,
                            bias + g * Channels + tile * tile_neurons, sums + place * stored);
                     }
                  }
               }
            for (std::size_t t = 0; !Last && t < shape.tiles; ++t) {
               const std::size_t channel = (tile + t) * tile_neurons;
               channels_apart(sums + t * tile_neurons, stored, plane_out,
                              Channels - channel < tile_neurons ? Channels - channel : tile_neurons,
                              y + ((image * c.groups + g) * Channels + channel) * plane_out);
            }
         }
   }
   if constexpr (!std::is_same_v<F, Identity>)
      finish<Single>(y, 0, c.images * c.groups * Channels * plane_out, epilogue);
}

// Row is 0 for pixels in lanes of one event, else the fewest outputs of a row of one phase.
template <class M, std::size_t Channels, std::size_t MostTaps, std::size_t Row, std::size_t PixelStep,
          bool Last, bool Relu, class F>
HEPML_ROOT_INLINE void convolution(const Convolution& c, const float* x, const float* w, const float* bias,
                                   float* y, float* scratch, const F& epilogue) {
   if constexpr (!M::single)
      convolution_of_block<M, Channels, MostTaps, Last, Relu>(c, x, w, bias, y, scratch, epilogue);
   else if constexpr (Row > 0)
      convolution_by_channels<Channels, MostTaps, Row, PixelStep, Last, Relu>(c, x, w, bias, y, scratch,
                                                                              epilogue);
   else
      convolution_by_pixels<Channels, MostTaps, Relu>(c, x, w, bias, y, scratch, epilogue);
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine

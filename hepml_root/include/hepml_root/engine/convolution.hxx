// Convolutions and transposed convolutions in up to three dimensions, in one kernel.
//
// Along an axis, output b * phases + p is the sum over taps t of w[p][t] x[b * stride + first[p] + t * step].
// A convolution has one phase: first is minus its padding, step its dilation. A transposed convolution of
// stride s is s convolutions of stride 1, one phase each, of which every one has a share of the taps: inputs
// are gathered, nothing is scattered, and the zeros between inputs are never multiplied.
//
// R channels times P pixels are summed in registers (`convolution_tile`): each weight is broadcast and used
// for P registers, each of which is used for R weights.
//   - In blocks of events a register holds one pixel of 16 events. The rows of the image that the taps reach
//     are kept in a ring, pixel after pixel with all channels side by side, and zeros at both ends: what one
//     tile reads is then a few contiguous stretches that stay in the first-level cache.
//   - For one event a register holds channels of one pixel, or neighbouring pixels of one channel:
//     convolution_event.hxx.
// Weights are stored as they are read (export/cpp/convolution.py, `pack`).
#pragma once

#include "dense.hxx"
#include "functions.hxx"
#include "sums.hxx"

#include <type_traits>

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// The taps of one phase.
struct Phase {
   std::ptrdiff_t first;
   std::size_t taps;
};

struct Axis {
   std::size_t in, out, stride, step, phases;
   const Phase* phase;
   std::size_t before; // zeros in front of the first input
   std::size_t framed; // inputs with the zeros at both ends
   std::size_t plane;  // of one event: pixels of this axis, frame included, for one remainder by the stride
   std::size_t slots;  // of blocks: how many inputs the ring holds

   // How many outputs a phase has.
   constexpr std::size_t outputs(std::size_t p) const { return p < out ? (out - p - 1) / phases + 1 : 0; }
};

struct Convolution {
   std::size_t images;         // one, but for graphs without a batch axis
   std::size_t groups, inputs; // `inputs` channels of each group
   Axis axis[3];               // depth, height, width
   bool in_place;              // no frame, and what a tile needs is contiguous: read without a ring
   std::size_t taps;           // taps of all phases together
   const std::uint32_t* first; // place of the weights of each combination of phases, in taps

   constexpr std::size_t pixels() const { return axis[0].in * axis[1].in * axis[2].in; }
   constexpr std::size_t pixels_out() const { return axis[0].out * axis[1].out * axis[2].out; }
};

// The inputs of a row of taps from `x` on, and which row of the taps it is.
struct TapRow {
   const float* x;
   std::size_t tap;
};

// What a tile sums: `rows`, each of `runs` runs of `length` inputs. Distances are in floats.
struct Taps {
   const TapRow* row;
   std::size_t rows, runs, length;
   std::size_t run_step, step, pixel_step; // between runs, the inputs of a run, the pixels of a tile
   std::size_t row_weights;                // weights of the taps of one row
   std::size_t y_channel, y_pixel;         // between the results of a tile
};

// Channels of a tile of weights, side by side; few channels are not padded.
constexpr std::size_t tile_channels(std::size_t channels) {
   return channels < tile_neurons / 2 ? channels : tile_neurons;
}

// R x P sums, P inputs and a weight fill the register file; the inputs of a single channel stay in memory.
constexpr std::size_t most_channels = HEPML_ROOT_LANES == 16 ? 8 : 4;
constexpr std::size_t tile_pixels(std::size_t channels) {
   constexpr std::size_t wide[] = {12, 8, 6, 5, 4, 4, 3, 3};
   constexpr std::size_t narrow[] = {8, 5, 3, 3, 1, 1, 1, 1};
   return HEPML_ROOT_LANES == 16 ? wide[channels - 1] : narrow[channels - 1];
}

// R channels of P pixels, the inputs `x` floats behind those of each row of taps.
template <class V, std::size_t R, std::size_t P, std::size_t Tile, bool Relu>
__attribute__((noinline)) void convolution_tile(const Taps& taps, std::size_t x, const float* weights,
                                                const float* bias, float* y) {
   Accumulator<V> sum[R][P];
   HEPML_ROOT_UNROLL
   for (std::size_t r = 0; r < R; ++r) {
      HEPML_ROOT_UNROLL
      for (std::size_t p = 0; p < P; ++p)
         sum[r][p] = accumulator<V>(splat<V>(bias[r]));
   }
   const std::size_t step = taps.step, pixel_step = taps.pixel_step, length = taps.length;
   for (std::size_t row = 0; row < taps.rows; ++row) {
      const float* run = taps.row[row].x + x;
      const float* w = weights + taps.row[row].tap * taps.row_weights;
      for (std::size_t i = 0; i < taps.runs; ++i, run += taps.run_step) {
         const float* from = run;
         const auto add_input = [&]() __attribute__((always_inline)) {
            V pixel[P];
            HEPML_ROOT_UNROLL
            for (std::size_t p = 0; p < P; ++p)
               pixel[p] = load<V>(from + p * pixel_step);
            HEPML_ROOT_UNROLL
            for (std::size_t r = 0; r < R; ++r) {
               const V weight = splat<V>(w[r]);
               HEPML_ROOT_UNROLL
               for (std::size_t p = 0; p < P; ++p)
                  add_product<V>(sum[r][p], weight, pixel[p]);
            }
            from += step;
            w += Tile;
         };
         std::size_t k = 0;
         if constexpr (inputs_per_turn > 1)
            for (; k + inputs_per_turn <= length; k += inputs_per_turn) {
               HEPML_ROOT_UNROLL
               for (std::size_t j = 0; j < inputs_per_turn; ++j)
                  add_input();
            }
         for (; k < length; ++k)
            add_input();
      }
   }
   HEPML_ROOT_UNROLL
   for (std::size_t r = 0; r < R; ++r) {
      HEPML_ROOT_UNROLL
      for (std::size_t p = 0; p < P; ++p) {
         const V result = rounded<V>(sum[r][p]);
         store<V>(y + r * taps.y_channel + p * taps.y_pixel, Relu ? clip_below<V>(result, V{}) : result);
      }
   }
}

// body(R, first channel, place of its weights in a tile for one tap and input), R at compile time: all
// channels in passes of nearly equal size, none of which reaches over the end of a tile of weights.
template <std::size_t Channels, class Body> HEPML_ROOT_INLINE void channel_passes(const Body& body) {
   constexpr std::size_t whole = Channels / tile_neurons * tile_neurons, rest = Channels - whole;
   if constexpr (whole > 0)
      for (std::size_t c = 0; c < whole; c += most_channels)
         body(std::integral_constant<std::size_t, most_channels>{}, c);
   if constexpr (rest > 0) {
      constexpr std::size_t passes = (rest + most_channels - 1) / most_channels;
      constexpr std::size_t large = (rest + passes - 1) / passes, larges = rest - passes * (large - 1);
      for (std::size_t i = 0; i < larges; ++i)
         body(std::integral_constant<std::size_t, large>{}, whole + i * large);
      if constexpr (larges < passes)
         for (std::size_t i = 0; i < passes - larges; ++i)
            body(std::integral_constant<std::size_t, large - 1>{}, whole + larges * large + i * (large - 1));
   }
}

// The largest pass of channel_passes.
constexpr std::size_t largest_pass(std::size_t channels) {
   const std::size_t passes = (channels + most_channels - 1) / most_channels;
   return channels >= tile_neurons ? most_channels : (channels + passes - 1) / passes;
}

// Where in the weights of all `inputs` (those of one tap and channel) of a layer a channel begins.
template <std::size_t Channels>
constexpr std::size_t weights_of_channel(std::size_t channel, std::size_t inputs) {
   constexpr std::size_t tile = tile_channels(Channels);
   return channel / tile * tile * inputs + channel % tile;
}

// body(P, first pixel), P at compile time: tiles of P pixels, then of half as many.
template <std::size_t P, class Body>
HEPML_ROOT_INLINE void pixel_tiles(std::size_t first, std::size_t pixels, const Body& body) {
   for (; first + P <= pixels && !(P == 3 && first + 4 == pixels); first += P)
      body(std::integral_constant<std::size_t, P>{}, first);
   if constexpr (P > 1)
      pixel_tiles<(P + 1) / 2>(first, pixels, body);
}

// ---- events in lanes ------------------------------------------------------------------------------------

// The rows of one image in the order in which tiles read them: group, pixel, channel.
template <class M> struct Ring {
   const Convolution& c;
   float* const slots;
   std::size_t next = 0; // the row that comes next, of those of all depths

   HEPML_ROOT_INLINE std::size_t group() const { return c.axis[2].framed * c.inputs * M::lanes; }
   HEPML_ROOT_INLINE float* slot(std::size_t d, std::size_t h) const {
      return slots + (d % c.axis[0].slots * c.axis[1].slots + h % c.axis[1].slots) * c.groups * group();
   }
   void clear_frame() const {
      const std::size_t pixel = c.inputs * M::lanes, end = c.axis[2].before + c.axis[2].in;
      for (std::size_t i = 0; i < c.axis[0].slots * c.axis[1].slots * c.groups; ++i) {
         float* const row = slots + i * group();
         std::memset(row, 0, c.axis[2].before * pixel * sizeof(float));
         std::memset(row + end * pixel, 0, (c.axis[2].framed - end) * pixel * sizeof(float));
      }
   }
   // Takes rows until that of height h in depth d is there; of several depths whole images.
   void fill(const float* x, std::size_t d, std::size_t h) {
      const std::size_t last = c.axis[0].in == 1 ? h : (d + 1) * c.axis[1].in - 1;
      for (; next <= last; ++next) {
         float* const to =
             slot(next / c.axis[1].in, next % c.axis[1].in) + c.axis[2].before * c.inputs * M::lanes;
         for (std::size_t g = 0; g < c.groups; ++g)
            for (std::size_t i = 0; i < c.inputs; ++i) {
               const float* from = x + ((g * c.inputs + i) * c.pixels() + next * c.axis[2].in) * M::lanes;
               float* at = to + g * group() + i * M::lanes;
               for (std::size_t w = 0; w < c.axis[2].in; ++w, from += M::lanes, at += c.inputs * M::lanes)
                  std::memcpy(at, from, M::lanes * sizeof(float));
            }
      }
   }
};

// Last: results are stored pixel after pixel, with all channels side by side (of one group, and by formulas
// that do not depend on the place).
template <class M, std::size_t Channels, std::size_t MostRows, bool Last, bool Relu, class F>
__attribute__((noinline)) void convolution_of_block(const Convolution& c, const float* x, const float* w,
                                                    const float* bias, float* y, float* scratch,
                                                    const F& epilogue) {
   using V = typename M::V;
   constexpr std::size_t lanes = M::lanes, tile = tile_channels(Channels);
   constexpr std::size_t padded_channels = (Channels + tile - 1) / tile * tile;
   const Axis &depth = c.axis[0], &height = c.axis[1], &wide = c.axis[2];
   const std::size_t plane = c.pixels() * lanes, plane_out = c.pixels_out();
   Ring<M> ring{c, scratch};
   if (!c.in_place)
      ring.clear_frame();
   const std::size_t pixel = c.in_place ? lanes : c.inputs * lanes;
   const std::size_t group = c.in_place ? c.inputs * plane : ring.group();
   TapRow rows[MostRows];
   Taps taps{};
   taps.row = rows;
   taps.step = c.in_place && c.inputs > 1 ? plane : lanes;
   taps.pixel_step = wide.stride * pixel;
   taps.run_step = wide.step * pixel;
   constexpr std::size_t place_step = Last ? Channels * lanes : lanes;
   taps.y_channel = Last ? lanes : plane_out * lanes;
   taps.y_pixel = wide.phases * place_step;
   // Sums the taps of a row of pixels of one phase of one group, for all channels.
   const auto sum_row = [&](const Phase& across, std::size_t g, std::size_t pixels, const float* weights,
                            std::size_t all_inputs, std::size_t feature) {
      const std::size_t start =
          across.taps == 0
              ? 0
              : g * group + static_cast<std::size_t>(across.first + std::ptrdiff_t(wide.before)) * pixel;
      pixel_tiles<tile_pixels(largest_pass(Channels))>(0, pixels, [&](auto p, std::size_t first) {
         constexpr std::size_t P = decltype(p)::value;
         const std::size_t place = feature + first * wide.phases;
         for (std::size_t v = 0; v < M::vectors; ++v) {
            const std::size_t from = start + first * taps.pixel_step + v * width<V>;
            float* const to = y + place * place_step + v * width<V>;
            channel_passes<Channels>([&](auto r, std::size_t channel) {
               convolution_tile<V, decltype(r)::value, P, tile, Relu>(
                   taps, from, weights + weights_of_channel<Channels>(channel, all_inputs),
                   bias + g * Channels + channel, to + channel * taps.y_channel);
            });
            if constexpr (!std::is_same_v<F, Identity>)
               for (std::size_t channel = 0; channel < Channels; ++channel)
                  for (std::size_t i = 0; i < P; ++i) {
                     float* const at = to + channel * taps.y_channel + i * taps.y_pixel;
                     const typename M::At which{Last ? 0 : place + channel * plane_out + i * wide.phases, v};
                     store<V>(at, epilogue(load<V>(at), which));
                  }
         }
      });
   };
   for (std::size_t image = 0; image < c.images; ++image) {
      const float* const x_image = x + image * c.groups * c.inputs * plane;
      ring.next = 0;
      for (std::size_t d = 0; d < depth.out; ++d)
         for (std::size_t h = 0; h < height.out; ++h) {
            const std::size_t phase_d = d % depth.phases, phase_h = h % height.phases;
            const Phase &through = depth.phase[phase_d], &down = height.phase[phase_h];
            taps.rows = 0;
            for (std::size_t i = 0; i < through.taps; ++i)
               for (std::size_t j = 0; j < down.taps; ++j) {
                  // A row outside of the image, below 0 or not, is not less than its height when unsigned.
                  const std::size_t in_d = d / depth.phases * depth.stride + i * depth.step + through.first;
                  const std::size_t in_h = h / height.phases * height.stride + j * height.step + down.first;
                  if (in_d >= depth.in || in_h >= height.in)
                     continue;
                  if (!c.in_place)
                     ring.fill(x_image, in_d, in_h);
                  const float* const row = c.in_place ? x_image + (in_d * height.in + in_h) * wide.in * lanes
                                                      : ring.slot(in_d, in_h);
                  rows[taps.rows++] = {row, i * down.taps + j};
               }
            for (std::size_t phase_w = 0; phase_w < wide.phases; ++phase_w) {
               const Phase& across = wide.phase[phase_w];
               const bool contiguous = wide.step == 1 || across.taps <= 1;
               taps.runs = contiguous ? 1 : across.taps;
               taps.length = contiguous ? across.taps * c.inputs : c.inputs;
               taps.row_weights = across.taps * c.inputs * tile;
               const std::size_t first = c.first[(phase_d * height.phases + phase_h) * wide.phases + phase_w];
               for (std::size_t g = 0; g < c.groups; ++g)
                  sum_row(across, g, wide.outputs(phase_w),
                          w + (g * c.taps + first) * c.inputs * padded_channels,
                          through.taps * down.taps * across.taps * c.inputs,
                          (image * c.groups + g) * (Last ? 1 : Channels) * plane_out +
                              (d * height.out + h) * wide.out + phase_w);
            }
         }
   }
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine

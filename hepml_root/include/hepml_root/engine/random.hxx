// Random numbers that are a function of the caller's seed, the number of the event, the operator and the
// element, and of nothing else: the same on any number of threads, in blocks of any size, in any order.
//
// The generator is Philox 4x32 with ten rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
// easy as 1, 2, 3", SC11, 2011): a block cipher of a counter. The counter is (event, four elements,
// operator), the key is the seed. Each counter gives four words of 32 bits, for four neighbouring elements.
#pragma once

#include "functions.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

template <std::size_t Lanes> struct WordVector {
   using Word [[gnu::vector_size(4 * Lanes)]] = std::uint32_t;
   using Long [[gnu::vector_size(4 * Lanes)]] = std::uint64_t;
};
template <class V> using Words = typename WordVector<width<V>>::Word;
template <class V> using Longs = typename WordVector<width<V>>::Long;

// Four words per lane.
template <class V> struct Counter {
   Words<V> word[4];
};

// The upper and the lower half of the product with a constant, even and odd lanes apart.
template <class V>
HEPML_ROOT_INLINE void product_of_words(Words<V> x, std::uint64_t factor, Words<V>& high, Words<V>& low) {
   constexpr std::uint64_t lower = 0xffffffff;
   const Longs<V> pairs = (Longs<V>)x;
   const Longs<V> even = (pairs & lower) * factor, odd = (pairs >> 32) * factor;
   low = (Words<V>)((even & lower) | (odd << 32));
   high = (Words<V>)((even >> 32) | (odd & ~lower));
}

template <class V> HEPML_ROOT_INLINE Counter<V> philox(Counter<V> counter, std::uint64_t seed) {
   std::uint32_t key[2] = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
   for (int round = 0; round < 10; ++round) {
      Words<V> high[2], low[2];
      product_of_words<V>(counter.word[0], 0xD2511F53, high[0], low[0]);
      product_of_words<V>(counter.word[2], 0xCD9E8D57, high[1], low[1]);
      counter = {{high[1] ^ counter.word[1] ^ key[0], low[1], high[0] ^ counter.word[3] ^ key[1], low[0]}};
      key[0] += 0x9E3779B9;
      key[1] += 0xBB67AE85;
   }
   return counter;
}

// ---- distributions: four words become four numbers ------------------------------------------------------

// Evenly spread over [low, low + range); 2^24 values. Rounding may reach the upper end: `last` is below it.
struct Uniform {
   float low, range, last;
   template <class V> HEPML_ROOT_INLINE void operator()(const Counter<V>& words, V (&values)[4]) const {
      for (int i = 0; i < 4; ++i) {
         const V u = __builtin_convertvector((Mask<V>)(words.word[i] >> 8), V) * 5.9604644775390625e-8f;
         values[i] = clip_above<V>(low + range * u, splat<V>(last));
      }
   }
};

// Two words make two numbers: sqrt(-2 log u) times cosine and sine (Box and Muller, 1958); |x| < 6.6 sigma.
struct Normal {
   float mean, scale;
   template <class V> HEPML_ROOT_INLINE void operator()(const Counter<V>& words, V (&values)[4]) const {
      for (int i = 0; i < 4; i += 2) {
         const V u = __builtin_convertvector((Mask<V>)(words.word[i] >> 1), V) * 4.656612873077393e-10f +
                     4.656612873077393e-10f;
         const V radius = scale * square_root<V>(absolute<V>(-2.0f * logarithm(u)));
         // An angle between -2 and 2 quarter turns.
         const V quarters = __builtin_convertvector((Mask<V>)words.word[i + 1], V) * 9.313225746154785e-10f;
         const V turns = round_even(quarters);
         Quarters<V> angle{__builtin_convertvector(turns, Mask<V>), (quarters - turns) * 1.57079637f};
         values[i + 1] = mean + radius * sine_of(angle);
         angle.turns += 1;
         values[i] = mean + radius * sine_of(angle);
      }
   }
};

// Size numbers for each event; `event` is the number of that in the first lane, `node` that of the operator.
template <class M, std::size_t Size, class Distribution>
__attribute__((noinline)) void draw(std::uint64_t seed, std::uint64_t event, std::uint32_t node,
                                    const Distribution& distribution, float* y) {
   using V = typename M::V;
   constexpr std::size_t fours = (Size + 3) / 4, lanes = width<V>;
   for (std::size_t v = 0; v < M::vectors; ++v) {
      Words<V> low, high, place;
      for (std::size_t i = 0; i < lanes; ++i) {
         const std::uint64_t number = event + (M::single ? 0 : v * lanes + i);
         low[i] = static_cast<std::uint32_t>(number);
         high[i] = static_cast<std::uint32_t>(number >> 32);
         place[i] = M::single ? static_cast<std::uint32_t>(i) : 0;
      }
      const Words<V> of_node = Words<V>{} + node;
      // In blocks every lane draws for its event; a single event has four elements in every lane.
      constexpr std::size_t together = M::single ? lanes : 1;
      for (std::size_t four = 0; four < fours; four += together) {
         const Words<V> elements = place + static_cast<std::uint32_t>(four);
         V values[4];
         distribution(philox<V>({{low, high, elements, of_node}}, seed), values);
         for (std::size_t i = 0; i < 4 * together; ++i) {
            const std::size_t element = 4 * four + i;
            if (element >= Size)
               break;
            if constexpr (M::single)
               y[element] = values[i % 4][i / 4];
            else
               store<V>(y + element * M::lanes + v * lanes, values[i]);
         }
      }
   }
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine

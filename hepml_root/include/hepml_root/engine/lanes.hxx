// SIMD lanes: vectors of floats, and the two ways in which a network is walked through.
//
// In blocks (`Block`), a lane is an event: a value of F features is stored feature after feature, each as
// `lanes` neighbouring floats, one per event. Every product is then a broadcast weight times a vector.
// For one event at a time (`Single`), a lane is a feature: a value is a plain array of F floats.
// All kernels are written once, templated on the mode M.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if !defined(__GNUC__)
#error "hepml_root's engine uses the vector extensions of g++ and clang++: compile with one of them."
#endif

// Floats in one register of the target, and whether AVX-512 may be used. Both may be set from outside, where
// functions are compiled for another target than the file (inference/interface.py does for ROOT's
// interpreter).
#if defined(__AVX512F__) && !defined(HEPML_ROOT_AVX512)
#define HEPML_ROOT_AVX512 1
#endif
#ifndef HEPML_ROOT_LANES
#if defined(__AVX512F__)
#define HEPML_ROOT_LANES 16
#elif defined(__AVX__)
#define HEPML_ROOT_LANES 8
#else
#define HEPML_ROOT_LANES 4
#endif
#endif

// A name for what functions are compiled for, part of their own names. The files of one program may be
// compiled for different processors; of functions of one name the linker keeps one, and one for wide
// registers called with the room for narrow ones writes beyond it.
#define HEPML_ROOT_JOIN_EXPANDED(a, b, c) a##b##c
#define HEPML_ROOT_JOIN(a, b, c) HEPML_ROOT_JOIN_EXPANDED(a, b, c)
#if defined(HEPML_ROOT_AVX512)
#define HEPML_ROOT_FEATURES _avx512
#elif defined(__FMA__)
#define HEPML_ROOT_FEATURES _fma
#elif defined(__AVX__)
#define HEPML_ROOT_FEATURES _avx
#else
#define HEPML_ROOT_FEATURES
#endif
#define HEPML_ROOT_TARGET HEPML_ROOT_JOIN(lanes_, HEPML_ROOT_LANES, HEPML_ROOT_FEATURES)

#define HEPML_ROOT_INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define HEPML_ROOT_UNROLL _Pragma("unroll")
#else
#define HEPML_ROOT_UNROLL _Pragma("GCC unroll 16")
#endif

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// Storages and weights begin at multiples of 16 floats: one cache line, the widest register.
constexpr std::size_t alignment = 16;
constexpr std::size_t padded(std::size_t n) { return (n + alignment - 1) / alignment * alignment; }

template <std::size_t Lanes> struct Vector {
   using Float [[gnu::vector_size(4 * Lanes)]] = float;
   using Int [[gnu::vector_size(4 * Lanes)]] = std::int32_t;
};

// The integer vector of as many lanes as V: comparisons of V give it, all bits set where true.
template <class V> using Mask = typename Vector<sizeof(V) / sizeof(float)>::Int;

template <class V> constexpr std::size_t width = sizeof(V) / sizeof(float);

template <class V> HEPML_ROOT_INLINE V load(const float* from) {
   V value;
   std::memcpy(&value, from, sizeof(V));
   return value;
}

template <class V> HEPML_ROOT_INLINE void store(float* to, V value) { std::memcpy(to, &value, sizeof(V)); }

// The same number in every lane; x - 0 keeps the sign of -0, which x + 0 would not.
template <class V> HEPML_ROOT_INLINE V splat(float x) { return x - V{}; }

// A pointer of which g++ does not know where it came from: else it keeps single numbers that the next turn of
// a loop reads again in registers, and copying them to all lanes from there is slower than from memory.
HEPML_ROOT_INLINE const float* read_anew(const float* from) {
#if !defined(__clang__)
   asm("" : "+r"(from));
#endif
   return from;
}

template <class V> HEPML_ROOT_INLINE V select(Mask<V> where, V yes, V no) { return where ? yes : no; }

template <class V> HEPML_ROOT_INLINE Mask<V> bits(V value) { return (Mask<V>)value; }

template <class V> HEPML_ROOT_INLINE V from_bits(Mask<V> value) { return (V)value; }

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HEPML_ROOT_SHUFFLE 1
#endif
#endif

// The sum of all lanes, halves first: log2(lanes) additions in a row.
template <class V> HEPML_ROOT_INLINE float sum_of_lanes(V x) {
   if constexpr (width<V> == 1) {
      return x[0];
   } else {
      using Half = typename Vector<width<V> / 2>::Float;
      Half parts[2];
      std::memcpy(parts, &x, sizeof(V));
      return sum_of_lanes<Half>(parts[0] + parts[1]);
   }
}

// A weight or an intermediate value of fewer axes, read as if repeated along the axes where Stride is 0.
template <std::size_t... Extents> struct Extent {};
template <std::size_t... Strides> struct Stride {};

template <class Extents, class Strides> struct Broadcast;

template <> struct Broadcast<Extent<>, Stride<>> {
   static constexpr std::size_t size = 1;
   static constexpr std::size_t last_extent = 1, last_stride = 0;
   static constexpr std::size_t offset(std::size_t) { return 0; }
};

template <std::size_t E, std::size_t... Es, std::size_t S, std::size_t... Ss>
struct Broadcast<Extent<E, Es...>, Stride<S, Ss...>> {
   using Inner = Broadcast<Extent<Es...>, Stride<Ss...>>;
   static constexpr std::size_t size = E * Inner::size;
   // Of the last axis.
   static constexpr std::size_t last_extent = sizeof...(Es) > 0 ? Inner::last_extent : E;
   static constexpr std::size_t last_stride = sizeof...(Es) > 0 ? Inner::last_stride : S;
   // The modulus on every axis keeps the padding lanes beyond the last feature inside the array.
   static constexpr std::size_t offset(std::size_t i) {
      return i / Inner::size % E * S + Inner::offset(i % Inner::size);
   }
};

// Events in lanes: `Vectors` registers of events per feature.
template <std::size_t Vectors> struct Block {
   using V = Vector<HEPML_ROOT_LANES>::Float; // one register of events
   using Lane = V;                            // the type of one feature of one register of events
   static constexpr bool single = false;
   static constexpr std::size_t vectors = Vectors;
   static constexpr std::size_t lanes = Vectors * HEPML_ROOT_LANES;
   static constexpr std::size_t step = 1; // features per step of a loop over features

   // A place in a loop over features: which feature, which register of events.
   struct At {
      std::size_t feature;
      std::size_t vector;

      HEPML_ROOT_INLINE V value(const float* x) const {
         return load<V>(x + feature * lanes + vector * HEPML_ROOT_LANES);
      }
      template <class B> HEPML_ROOT_INLINE V value(const float* x, B) const {
         return load<V>(x + B::offset(feature) * lanes + vector * HEPML_ROOT_LANES);
      }
      HEPML_ROOT_INLINE V constant(const float* c) const { return splat<V>(c[feature]); }
      template <class B> HEPML_ROOT_INLINE V constant(const float* c, B) const {
         return splat<V>(c[B::offset(feature)]);
      }
      HEPML_ROOT_INLINE V scalar(float x) const { return splat<V>(x); }
   };
};

// One event: features in lanes. Values and weights are padded to whole registers.
struct Single {
   using V = Vector<HEPML_ROOT_LANES>::Float;
   using Lane = Vector<1>::Float;
   static constexpr bool single = true;
   static constexpr std::size_t vectors = 1;
   static constexpr std::size_t lanes = 1;
   static constexpr std::size_t step = HEPML_ROOT_LANES;

   struct At {
      std::size_t feature;
      std::size_t vector;

      HEPML_ROOT_INLINE V value(const float* x) const { return load<V>(x + feature); }
      template <class B> HEPML_ROOT_INLINE V value(const float* x, B) const {
         // Most registers of features do not cross the end of the last axis.
         if constexpr (B::last_stride <= 1 && B::last_extent >= width<V>)
            if (feature % B::last_extent + width<V> <= B::last_extent) {
               const float* const from = x + B::offset(feature);
               return B::last_stride == 1 ? load<V>(from) : splat<V>(*from);
            }
         V result;
         for (std::size_t i = 0; i < width<V>; ++i)
            result[i] = x[B::offset(feature + i)];
         return result;
      }
      HEPML_ROOT_INLINE V constant(const float* c) const { return value(c); }
      template <class B> HEPML_ROOT_INLINE V constant(const float* c, B broadcast) const {
         return value(c, broadcast);
      }
      HEPML_ROOT_INLINE V scalar(float x) const { return splat<V>(x); }
   };
};

// y[i] = formula(at i) for every one of Size features.
template <class M, std::size_t Size, class Formula> HEPML_ROOT_INLINE void each(float* y, Formula formula) {
   for (std::size_t i = 0; i < Size; i += M::step)
      for (std::size_t v = 0; v < M::vectors; ++v)
         store<typename M::V>(y + i * M::lanes + v * width<typename M::V>, formula(typename M::At{i, v}));
}

// The same, never inlined: formulas that differ in their addresses only share it.
template <class M, std::size_t Size, class Formula>
__attribute__((noinline)) void elementwise(float* y, Formula formula) {
   each<M, Size>(y, formula);
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine

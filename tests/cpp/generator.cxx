// Showers from a compiled library: one by one and in blocks, by seeds, engines and threads, and what is
// refused. Arguments: the library, and a file that n showers of energies 10, 11, …, eta 0.25, seed 7 are
// written to.

#include "hepml_root/generator.hxx"
#include "check.hxx"

#include <fstream>
#include <random>
#include <thread>

using hepml_root::Draws;
using hepml_root::Generator;

namespace {

// As ROOT's TRandom: what is drawn of it does not matter, only that it is drawn.
struct LikeTRandom {
   unsigned int state = 1;
   unsigned int Integer(unsigned int below) { return (state = state * 69069u + 1u) % below; }
   double Rndm() { return Integer(1u << 16) / 65536.; }
};

void calorimeter(const Generator& generator) {
   const auto& made = generator.calorimeter();
   CHECK(made.name == "tiny" && made.scale == "visible" && made.layers.size() == 3);
   CHECK(generator.cells() == 14 && made.layers[1].first == 6 && made.layers[2].first == 10);
   CHECK(!made.layers[0].IsPolar() && made.layers[2].IsPolar());
   CHECK(made.LayerOf(0) == 0 && made.LayerOf(5) == 0 && made.LayerOf(6) == 1 && made.LayerOf(13) == 2);
   CHECK_THROWS(made.LayerOf(14), "cell 14 of 14");
   // Row 1, column 2 of 2 × 3 cells of 10 mm × 12 mm, in a layer that counts as 1 mm thick.
   CHECK(made.Centre(5)[0] == 12. && made.Centre(5)[1] == 5. && made.Centre(5)[2] == 0.5);
   // Half a turn and ring 10 to 25 mm; three gaps of 2 + 4 mm behind the first mm.
   CHECK(std::abs(made.Centre(7)[0]) < 1e-9 && std::abs(made.Centre(7)[1] + 17.5) < 1e-9);
   CHECK(made.Centre(7)[2] == 10. && made.Centre(13)[2] == 28.);
   const std::vector<float> ones(14, 0.5f);
   CHECK(made.LayerEnergies(ones.data()) == (std::vector<double>{3., 2., 2.}));
}

void showers(const Generator& generator, const char* output) {
   constexpr std::size_t n = 80;
   std::vector<float> conditions;
   for (std::size_t i = 0; i < n; ++i)
      conditions.insert(conditions.end(), {10.f + static_cast<float>(i), 0.25f});
   std::vector<float> all(n * generator.cells()), cells;
   generator.sample(conditions.data(), n, 7, 0, all.data());
   std::ofstream(output, std::ios::binary)
       .write(reinterpret_cast<const char*>(all.data()), static_cast<std::streamsize>(all.size() * 4));
   bool same = true;
   for (std::size_t i = 0; i < n; ++i) {
      generator.sample(10. + static_cast<double>(i), 0.25f, Draws{7, i}, cells);
      same =
          same && std::equal(cells.begin(), cells.end(), all.begin() + static_cast<long>(i * cells.size()));
   }
   CHECK(same && cells.size() == generator.cells());
   // Several threads, each a part of the showers.
   std::vector<float> shared(all.size());
   std::vector<std::thread> threads;
   for (std::size_t first = 0; first < n; first += 20)
      threads.emplace_back([&, first] {
         generator.sample(conditions.data() + 2 * first, 20, 7, first,
                          shared.data() + first * generator.cells());
      });
   for (auto& thread : threads)
      thread.join();
   CHECK(shared == all);
}

template <class Engine> void engine(const Generator& generator, Engine one, Engine same) {
   std::vector<float> a, b;
   float c[14];
   generator.sample(50.f, 0.f, one, a);
   generator.sample(50.f, 0.f, same, b);
   CHECK(a == b);
   generator.sample(50, 0, one, c); // the next one
   CHECK(!std::equal(a.begin(), a.end(), c));
}

void refused(Generator& generator) {
   std::vector<float> out;
   std::mt19937_64 random(1), untouched(1);
   CHECK_THROWS(generator.sample(200.f, 0.f, random, out), "energy = 200 is outside of 10 to 100");
   CHECK_THROWS(generator.sample(50.f, -1.5f, random, out), "eta = -1.5 is outside of -1 to 1");
   CHECK_THROWS(generator.sample(50.f, random, out), "takes energy, eta; 1 numbers are given");
   CHECK_THROWS(generator.sample(50.f, 0.f, 1.f, random, out), "3 numbers are given");
   CHECK(random == untouched && out.empty());
   const float two[] = {50.f, 0.f, -3.f, 0.f};
   out.assign(28, 1.f);
   CHECK_THROWS(generator.sample(two, 2, 1, 0, out.data()), "energy = -3 is no energy of a particle");
   CHECK(out == std::vector<float>(28, 1.f));
   generator.allow_extrapolation();
   generator.sample(200.f, -1.5f, random, out);
   CHECK(out.size() == 14);
   CHECK_THROWS(generator.sample(-3.f, 0.f, random, out), "is no energy of a particle");
   CHECK_THROWS(generator.sample(std::nanf(""), 0.f, random, out), "is no energy of a particle");
   CHECK_THROWS(Generator("missing.so"), "there is no model file 'missing.so'");
   CHECK_THROWS(Generator(__FILE__), "is no compiled model");
}

} // namespace

int main(int, char** names) {
   Generator generator(names[1]);
   CHECK(generator.name() == "gen" && generator.kind() == "noise");
   CHECK(generator.labels() == (std::vector<std::string>{"energy", "eta"}));
   CHECK(generator.ranges()[0].low == 10 && generator.ranges()[1].high == 1);
   calorimeter(generator);
   showers(generator, names[2]);
   engine(generator, std::mt19937(3), std::mt19937(3));
   engine(generator, std::mt19937_64(3), std::mt19937_64(3));
   engine(generator, std::minstd_rand(3), std::minstd_rand(3));
   engine(generator, LikeTRandom{3}, LikeTRandom{3});
   LikeTRandom one, *pointer = &one;
   std::vector<float> cells;
   generator.sample(50.f, 0.f, pointer, cells);
   CHECK(one.state != 1);
   refused(generator);
   return failures != 0;
}

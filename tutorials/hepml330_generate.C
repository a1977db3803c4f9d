// hepml330: calorimeter showers from a trained network, simulated and drawn in a ROOT macro.
//
// Shows      hepml_root/generator.hxx: a generator that was trained in Python and exported, asked for showers
// in
//            C++, one by one with ROOT's random numbers and in blocks by seed and number, without Python or
//            Keras
// Prints     what the generator is, the energy that is measured and its spread, and how fast it is
// Writes     OUTPUT.png (mean image of the brightest layers, longitudinal profile, energy of all cells) and
//            OUTPUT.root with the histograms
// Needs      a generator; tutorials/hepml320_flow.py makes runs/tutorials/flow.onnx. The command hepml-root,
// which
//            has to be in the PATH, compiles it; or do so once and give the library:
//               hepml-root compile runs/tutorials/flow.onnx -o flow.so
// Run it     root -l -b -q 'tutorials/hepml330_generate.C("runs/tutorials/flow.onnx", 50, 10000)' (seconds)

#include "../hepml_root/include/hepml_root/generator.hxx"

#include <TCanvas.h>
#include <TFile.h>
#include <TH1D.h>
#include <TH2D.h>
#include <TH2Poly.h>
#include <TRandom3.h>
#include <TStyle.h>
#include <TSystem.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <iostream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace {

// The mean energy of the cells of one layer, as a picture.
std::unique_ptr<TH2> Image(const hepml_root::CalorimeterLayer& layer, std::size_t number,
                           const std::vector<double>& mean) {
   const TString name = TString::Format("layer_%zu", number);
   const TString title = TString::Format("layer %zu: mean energy of a cell [GeV];x [mm];y [mm]", number);
   if (!layer.IsPolar()) {
      const double x = 0.5 * layer.columns * layer.width, y = 0.5 * layer.rows * layer.height;
      auto image = std::make_unique<TH2D>(name, title, layer.columns, -x, x, layer.rows, -y, y);
      for (std::size_t cell = 0; cell < layer.Cells(); ++cell)
         image->SetBinContent(cell % layer.columns + 1, cell / layer.columns + 1, mean[layer.first + cell]);
      image->SetDirectory(nullptr);
      return image;
   }
   const double radius = layer.edges.back(), slice = 2 * TMath::Pi() / layer.rows;
   auto image = std::make_unique<TH2Poly>(name, title, -radius, radius, -radius, radius);
   for (std::size_t row = 0; row < layer.rows; ++row)
      for (std::size_t column = 0; column < layer.columns; ++column) {
         // A piece of a ring: along its outer edge and back along the inner one.
         std::vector<double> x, y;
         const std::size_t steps = 1 + 32 / layer.rows;
         for (const bool outer : {true, false})
            for (std::size_t step = 0; step <= steps; ++step) {
               const double part = static_cast<double>(outer ? step : steps - step) / steps;
               const double angle = -TMath::Pi() + (row + part) * slice;
               x.push_back(layer.edges[column + outer] * std::cos(angle));
               y.push_back(layer.edges[column + outer] * std::sin(angle));
            }
         const int bin = image->AddBin(static_cast<int>(x.size()), x.data(), y.data());
         image->SetBinContent(bin, mean[layer.first + row * layer.columns + column]);
      }
   image->SetDirectory(nullptr);
   return image;
}

void Generate(const std::string& model, double energy, std::size_t showers, const std::string& output,
              std::uint64_t seed) {
   const hepml_root::Generator generator(model);
   const hepml_root::Calorimeter& calorimeter = generator.calorimeter();
   std::cout << generator.name() << ", a generator of kind " << generator.kind() << ": "
             << calorimeter.layers.size() << " layers with " << generator.cells() << " cells of "
             << calorimeter.name << '\n';
   // Conditions beside the energy are in the middle of what it was trained in.
   std::vector<float> particle;
   for (const hepml_root::TrainedRange& range : generator.ranges()) {
      particle.push_back(
          static_cast<float>(range.label == "energy" ? energy : 0.5 * (range.low + range.high)));
      std::cout << "  " << range.label << " from " << range.low << " to " << range.high << "; here "
                << particle.back() << '\n';
   }

   TH1D profile("profile", "longitudinal profile;depth [mm];mean energy of a layer [GeV]",
                static_cast<int>(calorimeter.layers.size()), 0, 1);
   std::vector<double> edges{0};
   for (const hepml_root::CalorimeterLayer& layer : calorimeter.layers)
      edges.push_back(layer.z + 0.5 * layer.thickness);
   profile.SetBins(static_cast<int>(calorimeter.layers.size()), edges.data());

   std::vector<double> mean(generator.cells());
   constexpr std::size_t most = 256; // showers of a block: more at once are no faster
   std::vector<float> conditions, cells(most * generator.cells());
   for (std::size_t i = 0; i < most; ++i)
      conditions.insert(conditions.end(), particle.begin(), particle.end());
   double seconds = 0, sum = 0, squares = 0;
   std::vector<double> totals;
   for (std::size_t first = 0; first < showers; first += most) {
      const std::size_t n = std::min(most, showers - first);
      const std::clock_t begin = std::clock();
      // The shower of event i is the same in blocks of any size, and in RDataFrame.
      generator.sample(conditions.data(), n, seed, first, cells.data());
      seconds += static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
      for (std::size_t i = 0; i < n; ++i) {
         const float* shower = cells.data() + i * generator.cells();
         const std::vector<double> layers = calorimeter.LayerEnergies(shower);
         for (std::size_t number = 0; number < layers.size(); ++number)
            profile.AddBinContent(static_cast<int>(number) + 1, layers[number] / showers);
         for (std::size_t cell = 0; cell < generator.cells(); ++cell)
            mean[cell] += shower[cell] / showers;
         const double found = std::accumulate(layers.begin(), layers.end(), 0.);
         totals.push_back(found);
         sum += found;
         squares += found * found;
      }
   }
   const double average = sum / showers,
                spread = std::sqrt(std::max(0., squares / showers - average * average));
   std::cout << "energy of all cells: mean " << average << " GeV, standard deviation " << spread << " GeV\n"
             << static_cast<long>(showers / std::max(seconds, 1e-6)) << " showers/s of processor time\n";

   // In a loop over events of your own: one at a time, with any engine.
   std::vector<float> one(generator.cells());
   TRandom3 random(seed);
   generator.sample(particle.data(), 1, random.Integer(kMaxUInt), 0, one.data());
   if (particle.size() == 1) {
      generator.sample(energy, random, one);                     // the same in short, for a single condition
      generator.sample(energy, hepml_root::Draws{seed, 0}, one); // the first shower above, again
      std::cout << "the first shower: " << std::accumulate(one.begin(), one.end(), 0.) << " GeV\n";
   }

   // The layers with most energy, up to three, from the front to the back.
   std::vector<std::size_t> chosen(calorimeter.layers.size());
   std::iota(chosen.begin(), chosen.end(), 0);
   std::stable_sort(chosen.begin(), chosen.end(), [&](std::size_t a, std::size_t b) {
      return profile.GetBinContent(static_cast<int>(a) + 1) > profile.GetBinContent(static_cast<int>(b) + 1);
   });
   chosen.resize(std::min<std::size_t>(3, chosen.size()));
   std::sort(chosen.begin(), chosen.end());
   gStyle->SetOptStat(0);
   TCanvas canvas("canvas", "", 1500, 900);
   canvas.Divide(3, 2);
   std::vector<std::unique_ptr<TH2>> images;
   for (const std::size_t number : chosen) {
      images.push_back(Image(calorimeter.layers[number], number, mean));
      canvas.cd(static_cast<int>(images.size()))->SetRightMargin(0.16);
      images.back()->Draw("colz");
   }
   // What is measured may be a small part of the energy, so that the axis follows it.
   TH1D total("total", "energy of all cells;energy [GeV];showers", 100, 0, 2 * std::max(average, 1e-9));
   for (const double found : totals)
      total.Fill(found);
   profile.SetMinimum(0);
   canvas.cd(4);
   profile.Draw("hist");
   canvas.cd(5);
   total.Draw("hist");
   canvas.SaveAs((output + ".png").c_str());
   TFile file((output + ".root").c_str(), "recreate");
   for (TH1* histogram : {static_cast<TH1*>(&profile), static_cast<TH1*>(&total)})
      histogram->Write();
   for (const auto& image : images)
      image->Write();
   total.SetDirectory(nullptr);
   profile.SetDirectory(nullptr);
}

} // namespace

void hepml330_generate(const char* model = "runs/tutorials/flow.onnx", double energy = 50,
                       int showers = 10000, const char* output = "showers", unsigned int seed = 1) {
   try {
      if (showers < 1)
         throw std::runtime_error("the number of showers is " + std::to_string(showers) +
                                  "; 1 or more is needed");
      Generate(model, energy, static_cast<std::size_t>(showers), output, seed);
   } catch (const std::exception& error) {
      std::cerr << "hepml330_generate: " << error.what() << '\n';
      gSystem->Exit(2);
   }
}

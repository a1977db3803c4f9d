// The calorimeter of a generator of showers: layers and cells, read from the manifest. C++17 standard library
// only.
//
//    const auto calorimeter = hepml_root::Calorimeter::Parse(manifest.json["generator"]["geometry"]);
//    for (const auto& layer : calorimeter.layers)
//       std::cout << layer.rows << " × " << layer.columns << " cells from number " << layer.first << '\n';

#ifndef HEPML_ROOT_CALORIMETER_HXX
#define HEPML_ROOT_CALORIMETER_HXX

#include "json.hxx"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace hepml_root {

/// One layer. Of a grid, rows are along y and columns along x, and a cell is width × height; of a polar
/// layer, rows are equal angles from -pi to pi and columns the radii between `edges`. All in mm.
struct CalorimeterLayer {
   std::size_t first = 0; ///< number of its first cell among all
   std::size_t rows = 0, columns = 0;
   double z = 0, thickness = 1;  ///< its middle, from the front face; 1 mm thick where nothing is known
   double height = 0, width = 0; ///< of a cell of a grid
   std::vector<double> edges;    ///< of the radii; empty for a grid

   bool IsPolar() const { return !edges.empty(); }
   std::size_t Cells() const { return rows * columns; }
};

/// A calorimeter. Cells are flat and ordered layer by layer, row by row, as everywhere in hepml_root.
struct Calorimeter {
   std::string name, title;
   std::string
       scale; ///< "visible", the energy in the active plates, or "electromagnetic", that of the shower
   double threshold = 0; ///< a cell below it reads 0 [GeV]
   std::vector<CalorimeterLayer> layers;

   std::size_t Cells() const { return layers.empty() ? 0 : layers.back().first + layers.back().Cells(); }

   /// Number of the layer that a cell is in. Throws std::out_of_range if there is no such cell.
   std::size_t LayerOf(std::size_t cell) const {
      if (cell >= Cells())
         throw std::out_of_range("hepml_root: cell " + std::to_string(cell) + " of " +
                                 std::to_string(Cells()));
      const auto after = std::upper_bound(
          layers.begin(), layers.end(), cell,
          [](std::size_t number, const CalorimeterLayer& layer) { return number < layer.first; });
      return static_cast<std::size_t>(after - layers.begin()) - 1;
   }

   /// x, y and z [mm] of the middle of a cell; the front face is at z = 0, the axis at x = y = 0.
   std::array<double, 3> Centre(std::size_t cell) const {
      const CalorimeterLayer& layer = layers[LayerOf(cell)];
      const std::size_t row = (cell - layer.first) / layer.columns,
                        column = (cell - layer.first) % layer.columns;
      if (!layer.IsPolar())
         return {(static_cast<double>(column) - 0.5 * static_cast<double>(layer.columns - 1)) * layer.width,
                 (static_cast<double>(row) - 0.5 * static_cast<double>(layer.rows - 1)) * layer.height,
                 layer.z};
      if (layer.rows == 1) // rings: their middle is the axis
         return {0, 0, layer.z};
      constexpr double pi = 3.14159265358979323846;
      const double radius = 0.5 * (layer.edges[column] + layer.edges[column + 1]);
      const double angle = -pi + (static_cast<double>(row) + 0.5) * 2 * pi / static_cast<double>(layer.rows);
      return {std::cos(angle) * radius, std::sin(angle) * radius, layer.z};
   }

   /// The sum of the cells of each layer of one shower [GeV].
   std::vector<double> LayerEnergies(const float* cells) const {
      std::vector<double> sums;
      for (const CalorimeterLayer& layer : layers) {
         double sum = 0;
         for (std::size_t i = layer.first; i < layer.first + layer.Cells(); ++i)
            sum += cells[i];
         sums.push_back(sum);
      }
      return sums;
   }

   /// Throws std::runtime_error if the JSON is no geometry of hepml_root.
   static Calorimeter Parse(const Json& json) {
      Calorimeter made;
      made.name = json["name"].Text();
      made.title = json["title"].IsNull() ? "" : json["title"].Text();
      made.scale = json["scale"].IsNull() ? "visible" : json["scale"].Text();
      made.threshold = Number(json, "threshold", 0);
      double depth = 0;
      for (const Json& entry : json["layers"].List()) {
         const auto count = static_cast<std::size_t>(Number(entry, "count", 1));
         for (std::size_t i = 0; i < count; ++i) {
            CalorimeterLayer layer = LayerOf(entry);
            layer.first = made.Cells();
            layer.z = depth + 0.5 * layer.thickness;
            depth += layer.thickness;
            made.layers.push_back(layer);
         }
      }
      if (made.Cells() == 0)
         throw std::runtime_error("hepml_root: geometry '" + made.name + "' has no cell");
      return made;
   }

private:
   static double Number(const Json& json, const std::string& key, double otherwise) {
      return json[key].IsNull() ? otherwise : json[key].Number();
   }

   static CalorimeterLayer LayerOf(const Json& json) {
      CalorimeterLayer layer;
      if (!json["grid"].IsNull()) {
         const auto& grid = json["grid"].List();
         layer.rows = static_cast<std::size_t>(grid.at(0).Number());
         layer.columns = static_cast<std::size_t>(grid.at(1).Number());
         layer.height = grid.at(2).Number();
         layer.width = grid.at(3).Number();
      } else {
         const auto& polar = json["polar"].List();
         layer.rows = static_cast<std::size_t>(polar.at(0).Number());
         for (const Json& edge : polar.at(1).List())
            layer.edges.push_back(edge.Number());
         layer.columns = layer.edges.size() - 1;
      }
      if (!json["active"].IsNull())
         layer.thickness =
             Number(json, "gaps", 1) *
             (Number(json, "active_mm", 0) + (json["passive"].IsNull() ? 0 : Number(json, "passive_mm", 0)));
      return layer;
   }
};

} // namespace hepml_root

#endif

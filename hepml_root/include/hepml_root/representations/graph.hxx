// Constituents as the nodes of a graph, each with its nearest neighbours.

#ifndef HEPML_ROOT_REPRESENTATIONS_GRAPH_HXX
#define HEPML_ROOT_REPRESENTATIONS_GRAPH_HXX

#include "constituents.hxx"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace hepml_root {
namespace representations {
inline namespace HEPML_ROOT_TARGET {

/// Kind "graph": outputs "jagged" and "mask" as of "constituents"; "index" (constituents, k), the places of
/// the neighbours, the nearest first; "edges" (constituents, k, pair features) and "mask" (constituents, k),
/// 0 where there are fewer neighbours. Settings besides those of "constituents": "space", the features that
/// distances are taken in; "radius", beyond which nothing is a neighbour; "edge_features".
///
/// Pair features (arXiv:2202.03772), with rapidities y and j the neighbour of i: log_delta, log_kt =
/// ln(min(pT) delta), log_z = ln(min(pT) / sum(pT)), log_mass_squared; delta_eta = η_j - η_i and delta_phi.
class Graph : public Representation {
public:
   static const std::vector<std::string>& names() {
      static const std::vector<std::string> all_names = {"log_delta",        "log_kt",    "log_z",
                                                         "log_mass_squared", "delta_eta", "delta_phi"};
      return all_names;
   }

   explicit Graph(const Description& description)
       : fColumns(description.columns.size()), fScalars(description.scalars.size()), fRows(description),
         fRadius(static_cast<float>(description.number("radius", std::numeric_limits<float>::infinity()))) {
      std::vector<std::string> settings = ConstituentRows::settings();
      settings.insert(settings.end(), {"space", "radius", "edge_features"});
      description.check(settings, {"jagged", "mask", "index", "edges", "mask"});
      for (const std::string& name : description.texts("space"))
         fSpace.push_back(fRows.need(name, description));
      for (const std::string& name : description.texts("edge_features")) {
         const auto found = std::find(names().begin(), names().end(), name);
         if (found == names().end())
            description.fail("has no edge feature '" + name + "'");
         fPairs.push_back(static_cast<std::size_t>(found - names().begin()));
      }
      fRows.need(kRapidity);
      fRows.need(kPt);
      const std::vector<std::size_t>& shape = description.outputs[2].shape;
      if (shape.size() != 2 || shape[0] != fRows.length() || fSpace.empty() || !(fRadius > 0))
         description.fail("needs a space, a radius above 0, and neighbours (constituents, k)");
      fNeighbours = shape[1];
      if (description.outputs[1].size() != fRows.length() || description.outputs[4].size() != edges() ||
          description.outputs[3].shape != std::vector<std::size_t>{shape[0], shape[1], fPairs.size()})
         description.fail("has edges of another shape than (constituents, k, edge features)");
   }

   std::size_t columns() const override { return fColumns; }
   std::size_t scalars() const override { return fScalars; }
   std::size_t outputs() const override { return 5; }
   std::size_t size(std::size_t output) const override {
      switch (output) {
      case 0:
         return fRows.length() * fRows.features();
      case 1:
         return fRows.length();
      case 3:
         return edges() * fPairs.size();
      default:
         return edges();
      }
   }

   Losses fill(const Constituents& event, float* const* outputs, Scratch& scratch) const override {
      Losses losses;
      const Chosen chosen = fRows.choose(event, scratch, losses);
      fRows.write(chosen, outputs[0], outputs[1]);
      const std::size_t kept = chosen.count, stride = whole_lanes(kept);
      // Rows of pT, η, φ, rapidity, mass and the space, in the order of the nodes; then distances and pairs.
      float* memory = floats(scratch, Slot::kPairs, (kOwn + fSpace.size() + 1) * stride + kPair * reach());
      Nodes nodes{kept, stride, memory};
      const auto sorted = [&](std::size_t row, std::size_t quantity) {
         float* to = memory + row * stride;
         std::fill(to, to + stride, 0.f);
         for (std::size_t i = 0; i < kept; ++i)
            to[i] = chosen.rows[quantity][chosen.order[i]];
      };
      sorted(kOwnPt, kPt);
      sorted(kOwnEta, kEta);
      sorted(kOwnPhi, kPhi);
      sorted(kOwnRapidity, kRapidity);
      if (fRows.massive())
         sorted(kOwnMass, kMass);
      else
         std::fill(memory + kOwnMass * stride, memory + (kOwnMass + 1) * stride, 0.f);
      for (std::size_t i = 0; i < fSpace.size(); ++i)
         sorted(kOwn + i, fSpace[i]);
      std::size_t* order = indices(scratch, Slot::kPairs, stride);
      for (std::size_t i = 0; i < kept; ++i)
         node(nodes, i, order, outputs[2] + i * fNeighbours, outputs[3] + i * fNeighbours * fPairs.size(),
              outputs[4] + i * fNeighbours);
      for (std::size_t output = 2; output < 5; ++output)
         std::fill(outputs[output] + size(output) / fRows.length() * kept, outputs[output] + size(output),
                   0.f);
      return losses;
   }

private:
   enum Own : std::size_t { kOwnPt, kOwnEta, kOwnPhi, kOwnRapidity, kOwnMass, kOwn };
   static constexpr std::size_t kPair = 5; ///< the same five quantities of the neighbours of one node
   static constexpr float least =
       1e-8f; ///< what is smaller has the logarithm of this, as in the paper's code
   static constexpr float most = std::numeric_limits<float>::max(); ///< likewise what is larger, as infinity

   struct Nodes {
      std::size_t count, stride;
      float* memory;

      float* operator[](std::size_t row) const { return memory + row * stride; }
   };

   std::size_t edges() const { return fRows.length() * fNeighbours; }
   std::size_t reach() const { return whole_lanes(fNeighbours); }

   void node(const Nodes& nodes, std::size_t i, std::size_t* order, float* index, float* pairs,
             float* mask) const {
      float* distances = nodes[kOwn + fSpace.size()];
      measure(nodes, i, distances);
      sort_by(distances, nodes.count, false, order);
      float* neighbours = nodes[kOwn + fSpace.size() + 1];
      std::size_t found = 0;
      while (found < std::min(fNeighbours, nodes.count - 1) && distances[order[found]] < fRadius * fRadius) {
         const std::size_t j = order[found];
         index[found] = static_cast<float>(j);
         mask[found] = 1.f;
         for (std::size_t row = 0; row < kPair; ++row)
            neighbours[row * reach() + found] = nodes[row][j];
         ++found;
      }
      std::fill(index + found, index + fNeighbours, 0.f);
      std::fill(mask + found, mask + fNeighbours, 0.f);
      std::fill(pairs + found * fPairs.size(), pairs + fNeighbours * fPairs.size(), 0.f);
      for (std::size_t first = 0; first < found; first += lanes) {
         Lanes values[6];
         pair(nodes, i, neighbours + first, values);
         for (std::size_t k = first; k < std::min(found, first + lanes); ++k)
            for (std::size_t f = 0; f < fPairs.size(); ++f)
               pairs[k * fPairs.size() + f] = values[fPairs[f]][k - first];
      }
   }

   /// Squared distances to all nodes; to itself infinite.
   void measure(const Nodes& nodes, std::size_t i, float* distances) const {
      std::fill(distances, distances + nodes.stride, 0.f);
      for (std::size_t s = 0; s < fSpace.size(); ++s) {
         const float* row = nodes[kOwn + s];
         const bool angle = fSpace[s] == kPhi || fSpace[s] == kDeltaPhi;
         const Lanes own = all(row[i]);
         for (std::size_t k = 0; k < nodes.stride; k += lanes) {
            Lanes difference = engine::load<Lanes>(row + k) - own;
            if (angle)
               difference = wrapped(difference);
            engine::store<Lanes>(distances + k, engine::load<Lanes>(distances + k) + difference * difference);
         }
      }
      distances[i] = std::numeric_limits<float>::infinity();
   }

   void pair(const Nodes& nodes, std::size_t i, const float* neighbours, Lanes* values) const {
      const auto other = [&](std::size_t row) { return engine::load<Lanes>(neighbours + row * reach()); };
      const auto own = [&](std::size_t row) { return all(nodes[row][i]); };
      const auto logarithm = [](Lanes x) {
         const Lanes above = engine::select<Lanes>(x > least, x, all(least));
         return engine::logarithm<Lanes>(engine::select<Lanes>(above < most, above, all(most)));
      };
      const Lanes pt_i = own(kOwnPt), pt_j = other(kOwnPt), mass_i = own(kOwnMass), mass_j = other(kOwnMass);
      const Lanes d_rapidity = other(kOwnRapidity) - own(kOwnRapidity);
      const Lanes d_phi = wrapped(other(kOwnPhi) - own(kOwnPhi));
      const Lanes delta = root(d_rapidity * d_rapidity + d_phi * d_phi);
      const Lanes softer = engine::select<Lanes>(pt_j < pt_i, pt_j, pt_i);
      values[0] = logarithm(delta);
      values[1] = logarithm(softer * delta);
      values[2] = logarithm(softer / (pt_i + pt_j));
      // m^2 = m_i^2 + m_j^2 + 2 (mT_i mT_j cosh(dy) - pT_i pT_j cos(dphi)), without cancellation.
      const Lanes square_i = mass_i * mass_i, square_j = mass_j * mass_j;
      const Lanes transverse = root(pt_i * pt_i + square_i) * root(pt_j * pt_j + square_j);
      const Lanes product = pt_i * pt_j;
      Lanes sinh_half, cosh_half, sin_half, cos_half;
      hyperbolic(0.5f * d_rapidity, sinh_half, cosh_half);
      sine_cosine(0.5f * d_phi, sin_half, cos_half);
      const Lanes rest =
          (square_i * pt_j * pt_j + square_j * pt_i * pt_i + square_i * square_j) / (transverse + product);
      values[3] = logarithm(square_i + square_j + 2.0f * rest + 4.0f * transverse * sinh_half * sinh_half +
                            4.0f * product * sin_half * sin_half);
      values[4] = other(kOwnEta) - own(kOwnEta);
      values[5] = d_phi;
   }

   std::size_t fColumns, fScalars;
   ConstituentRows fRows;
   float fRadius;
   std::vector<std::size_t> fSpace, fPairs;
   std::size_t fNeighbours = 0;
};

} // namespace HEPML_ROOT_TARGET
} // namespace representations
} // namespace hepml_root

#endif

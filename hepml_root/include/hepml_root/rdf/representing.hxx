// Jagged columns (the particles of a jet) as the tensors of a representation, for one event.
//
// Needs the C++17 standard library only. Called by the code that hepml_root.define makes for RDataFrame.

#ifndef HEPML_ROOT_RDF_REPRESENTING_HXX
#define HEPML_ROOT_RDF_REPRESENTING_HXX

#include <cstddef>
#include <deque>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace hepml_root {
namespace rdf {

/// Collects the columns of one event and has a compiled representation fill its tensors.
class Representing {
public:
   /// Fills the tensors of one event; a negative result comes with a message.
   using Event = long long (*)(const void* made, const float* const* columns, unsigned long long count,
                               const float* scalars, float* const* outputs, char* message, std::size_t room);

   Representing(Event event, const void* made, const char* name) : fEvent(event), fMade(made), fName(name) {}

   /// Take the next column: any container with data() and size(). Floats that live on are not copied.
   /// Throws std::runtime_error if its number of constituents is not that of the columns before.
   template <typename Container> void Add(Container&& column) {
      const std::size_t size = column.size();
      if (fColumns.empty())
         fSize = size;
      else if (size != fSize)
         throw std::runtime_error("hepml_root: the columns of the representation '" + std::string(fName) +
                                  "' have " + std::to_string(fSize) + " and " + std::to_string(size) +
                                  " constituents in the same event");
      using Value = std::decay_t<decltype(column[0])>;
      if constexpr (std::is_lvalue_reference_v<Container> && std::is_same_v<Value, float>) {
         fColumns.push_back(column.data());
      } else {
         fCopies.emplace_back(size);
         for (std::size_t i = 0; i < size; ++i)
            fCopies.back()[i] = static_cast<float>(column[i]);
         fColumns.push_back(fCopies.back().data());
      }
   }

   /// Take the next value of the event.
   void AddScalar(float value) { fScalars.push_back(value); }

   /// Fill the tensors. Throws std::domain_error if a value that is needed is not finite.
   void Fill(float* const* outputs) const {
      char message[1024] = "";
      if (fEvent(fMade, fColumns.data(), fSize, fScalars.data(), outputs, message, sizeof(message)) < 0)
         throw std::domain_error("hepml_root: representation '" + std::string(fName) + "': " + message);
   }

private:
   Event fEvent;
   const void* fMade;
   const char* fName;
   std::vector<const float*> fColumns;
   std::deque<std::vector<float>> fCopies;
   std::vector<float> fScalars;
   std::size_t fSize = 0;
};

} // namespace rdf
} // namespace hepml_root

#endif

// TMVA's RTensor, as far as its users call it, and AsTensor of a data frame.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_RTENSOR
#define HEPML_ROOT_TMVA_SHIM_RTENSOR

#include <ROOT/RDataFrame.hxx>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace TMVA {
namespace Experimental {

enum class MemoryLayout : uint8_t { RowMajor = 0x01, ColumnMajor = 0x02 };

/// Numbers in several dimensions: an owner of memory, or a view of what another one owns.
template <class T, class Container = std::vector<T>> class RTensor {
public:
   using Shape_t = std::vector<std::size_t>;
   using Index_t = Shape_t;
   using Slice_t = std::vector<Shape_t>;
   using Value_t = T;

   /// Zeros of a shape.
   explicit RTensor(Shape_t shape, MemoryLayout layout = MemoryLayout::RowMajor)
       : RTensor(std::make_shared<Container>(SizeOf(shape)), shape, layout) {}
   /// The numbers of a container, which it owns with others.
   RTensor(std::shared_ptr<Container> owned, Shape_t shape, MemoryLayout layout = MemoryLayout::RowMajor)
       : RTensor(owned->data(), shape, layout) {
      if (owned->size() < fSize)
         throw std::runtime_error("RTensor: the container has fewer numbers than the shape");
      fContainer = std::move(owned);
   }
   /// A view of the memory of another owner, which must outlive it.
   RTensor(T* data, Shape_t shape, MemoryLayout layout = MemoryLayout::RowMajor)
       : fShape(std::move(shape)), fStrides(StridesOf(fShape, layout)), fSize(SizeOf(fShape)), fData(data),
         fLayout(layout) {}

   std::size_t GetSize() const { return fSize; }
   const Shape_t& GetShape() const { return fShape; }
   const Shape_t& GetStrides() const { return fStrides; }
   MemoryLayout GetMemoryLayout() const { return fLayout; }
   T* GetData() { return fData; }
   const T* GetData() const { return fData; }
   std::shared_ptr<Container> GetContainer() { return fContainer; }
   bool IsView() const { return fContainer == nullptr; }
   bool IsOwner() const { return !IsView(); }

   T& operator()(const Index_t& index) { return fData[Offset(index)]; }
   const T& operator()(const Index_t& index) const { return fData[Offset(index)]; }
   template <class... Index> T& operator()(Index... index) {
      return fData[Offset({static_cast<std::size_t>(index)...})];
   }
   template <class... Index> const T& operator()(Index... index) const {
      return fData[Offset({static_cast<std::size_t>(index)...})];
   }

   /// The same numbers in another shape.
   RTensor Reshape(const Shape_t& shape) const {
      if (SizeOf(shape) != fSize)
         throw std::runtime_error("RTensor: a reshape keeps the number of elements");
      if (fStrides != StridesOf(fShape, fLayout))
         throw std::runtime_error("RTensor: a slice cannot be reshaped; copy it before");
      RTensor other(*this);
      other.fShape = shape;
      other.fStrides = StridesOf(shape, fLayout);
      return other;
   }
   /// Without the dimensions of length 1.
   RTensor Squeeze() const {
      RTensor other(*this);
      other.fShape.clear();
      other.fStrides.clear();
      for (std::size_t i = 0; i < fShape.size(); ++i)
         if (fShape[i] != 1 || (i + 1 == fShape.size() && other.fShape.empty())) {
            other.fShape.push_back(fShape[i]);
            other.fStrides.push_back(fStrides[i]);
         }
      return other;
   }
   /// With a dimension of length 1 more, before `place`; from the end if that is negative.
   RTensor ExpandDims(int place) const {
      const int rank = static_cast<int>(fShape.size());
      const int at = place < 0 ? place + rank + 1 : place;
      if (at < 0 || at > rank)
         throw std::runtime_error("RTensor: there is no dimension " + std::to_string(place));
      RTensor other(*this);
      other.fShape.insert(other.fShape.begin() + at, 1);
      other.fStrides.insert(other.fStrides.begin() + at, 1);
      return other;
   }
   /// With the dimensions in opposite order.
   RTensor Transpose() const {
      RTensor other(*this);
      other.fShape.assign(fShape.rbegin(), fShape.rend());
      other.fStrides.assign(fStrides.rbegin(), fStrides.rend());
      other.fLayout = fLayout == MemoryLayout::RowMajor ? MemoryLayout::ColumnMajor : MemoryLayout::RowMajor;
      return other;
   }
   /// The part from the first to before the second of two numbers in each dimension; dimensions that become
   /// of length 1 are left out.
   RTensor Slice(const Slice_t& slice) const {
      if (slice.size() != fShape.size())
         throw std::runtime_error("RTensor: a slice has two numbers for each dimension");
      RTensor other(*this);
      for (std::size_t i = 0; i < slice.size(); ++i) {
         if (slice[i].size() != 2 || slice[i][0] >= slice[i][1] || slice[i][1] > fShape[i])
            throw std::runtime_error("RTensor: the slice is not inside dimension " + std::to_string(i));
         other.fData += slice[i][0] * fStrides[i];
         other.fShape[i] = slice[i][1] - slice[i][0];
      }
      other.fSize = SizeOf(other.fShape);
      return other.Squeeze();
   }
   /// An owner of the same numbers.
   RTensor Copy(MemoryLayout layout = MemoryLayout::RowMajor) const {
      RTensor other(fShape, layout);
      Index_t index(fShape.size());
      for (std::size_t i = 0; i < fSize; ++i) {
         Unfold(i, index);
         other(index) = (*this)(index);
      }
      return other;
   }

   friend std::ostream& operator<<(std::ostream& to, const RTensor& tensor) {
      Index_t index(tensor.fShape.size());
      tensor.Print(to, index, 0);
      return to;
   }

private:
   static std::size_t SizeOf(const Shape_t& shape) {
      std::size_t size = 1;
      for (const std::size_t length : shape)
         size *= length;
      return size;
   }

   static Shape_t StridesOf(const Shape_t& shape, MemoryLayout layout) {
      Shape_t strides(shape.size());
      std::size_t step = 1;
      for (std::size_t i = 0; i < shape.size(); ++i) {
         const std::size_t at = layout == MemoryLayout::RowMajor ? shape.size() - 1 - i : i;
         strides[at] = step;
         step *= shape[at];
      }
      return strides;
   }

   std::size_t Offset(const Index_t& index) const {
      if (index.size() != fShape.size())
         throw std::runtime_error("RTensor: " + std::to_string(index.size()) + " numbers for " +
                                  std::to_string(fShape.size()) + " dimensions");
      std::size_t offset = 0;
      for (std::size_t i = 0; i < index.size(); ++i)
         offset += index[i] * fStrides[i];
      return offset;
   }

   void Unfold(std::size_t place, Index_t& index) const {
      for (std::size_t i = fShape.size(); i-- > 0; place /= fShape[i])
         index[i] = place % fShape[i];
   }

   void Print(std::ostream& to, Index_t& index, std::size_t dimension) const {
      if (dimension == fShape.size()) {
         to << (*this)(index);
         return;
      }
      to << "{ ";
      for (std::size_t i = 0; i < fShape[dimension]; ++i) {
         index[dimension] = i;
         to << (i == 0 ? "" : dimension + 1 == fShape.size() ? ", " : " ");
         Print(to, index, dimension + 1);
      }
      to << " }";
   }

   Shape_t fShape, fStrides;
   std::size_t fSize;
   T* fData;
   MemoryLayout fLayout;
   std::shared_ptr<Container> fContainer;
};

namespace Internal {
inline const char* TypeName(float) { return "float"; }
inline const char* TypeName(double) { return "double"; }
inline const char* TypeName(int) { return "int"; }
} // namespace Internal

/// The columns of a data frame as a tensor (events, columns); all columns if none are named.
template <class T>
RTensor<T> AsTensor(ROOT::RDF::RNode frame, std::vector<std::string> columns = {},
                    MemoryLayout layout = MemoryLayout::RowMajor) {
   if (columns.empty())
      columns = frame.GetColumnNames();
   std::vector<ROOT::RDF::RResultPtr<std::vector<T>>> taken;
   for (const std::string& column : columns) {
      // Of another type: as T.
      const std::string made = "hepml_" + column + "_as_number";
      frame = frame.Define(made, "static_cast<" + std::string(Internal::TypeName(T())) + ">(" + column + ")");
      taken.push_back(frame.template Take<T>(made));
   }
   const std::size_t events = taken.empty() ? 0 : taken[0]->size();
   RTensor<T> tensor({events, columns.size()}, layout);
   for (std::size_t c = 0; c < columns.size(); ++c)
      for (std::size_t i = 0; i < events; ++i)
         tensor(i, c) = (*taken[c])[i];
   return tensor;
}

} // namespace Experimental
} // namespace TMVA

#endif

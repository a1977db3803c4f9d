// What a manifest says of one representation, read from JSON.

#ifndef HEPML_ROOT_REPRESENTATIONS_DESCRIPTION_HXX
#define HEPML_ROOT_REPRESENTATIONS_DESCRIPTION_HXX

#include "../json.hxx"

#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hepml_root {
namespace representations {

/// One tensor that a representation fills.
struct Output {
   std::string name;
   std::string kind;
   std::vector<std::size_t> shape;

   std::size_t size() const {
      std::size_t product = 1;
      for (const std::size_t extent : shape)
         product *= extent;
      return product;
   }
};

/// {"kind": …, "name": …, "columns": […], "scalars": […], "outputs": […], "settings": {…}}.
class Description {
public:
   static constexpr std::size_t none = static_cast<std::size_t>(-1);

   /// Throws std::runtime_error where the text is no JSON or something is missing in it.
   explicit Description(const std::string& json) : fJson(Json::Parse(json)) {
      kind = fJson["kind"].Text();
      name = fJson["name"].Text();
      for (const Json& column : fJson["columns"].List())
         columns.push_back(column["label"].Text());
      for (const Json& scalar : fJson["scalars"].List())
         scalars.push_back(scalar["label"].Text());
      for (const Json& output : fJson["outputs"].List()) {
         outputs.push_back({output["name"].Text(), output["kind"].Text(), {}});
         for (const Json& extent : output["shape"].List())
            outputs.back().shape.push_back(static_cast<std::size_t>(extent.Number()));
      }
   }

   std::string kind;
   std::string name;
   std::vector<std::string> columns; ///< labels
   std::vector<std::string> scalars; ///< labels
   std::vector<Output> outputs;

   /// Place of a column or of a value per event; `none` if it is not there.
   std::size_t column(const std::string& label) const { return place(columns, label); }
   std::size_t scalar(const std::string& label) const { return place(scalars, label); }

   std::size_t needed_column(const std::string& label) const {
      const std::size_t found = column(label);
      if (found == none)
         fail("needs a column '" + label + "'");
      return found;
   }

   /// Settings; null and absent are the same.
   const Json& setting(const std::string& key) const { return fJson["settings"][key]; }

   bool flag(const std::string& key, bool otherwise) const {
      return setting(key).IsNull() ? otherwise : setting(key).Bool();
   }

   double number(const std::string& key, double otherwise) const {
      return setting(key).IsNull() ? otherwise : setting(key).Number();
   }

   std::string text(const std::string& key, const std::string& otherwise) const {
      return setting(key).IsNull() ? otherwise : setting(key).Text();
   }

   /// The place of a text setting among the names it may have; the first if it is not set.
   std::size_t choice(const std::string& key, const std::vector<std::string>& names) const {
      const std::string value = text(key, names.front());
      const std::size_t found = place(names, value);
      if (found == none)
         fail("has no " + key + " '" + value + "'");
      return found;
   }

   std::vector<std::string> texts(const std::string& key) const {
      std::vector<std::string> values;
      if (!setting(key).IsNull())
         for (const Json& value : setting(key).List())
            values.push_back(value.Text());
      return values;
   }

   /// Refuse settings of other names, and other outputs than these kinds in this order.
   void check(const std::vector<std::string>& settings, const std::vector<std::string>& kinds) const {
      for (const auto& item : fJson["settings"].Object())
         if (place(settings, item.first) == none)
            fail("has no setting '" + item.first + "'");
      if (outputs.size() != kinds.size())
         fail("has " + std::to_string(kinds.size()) + " outputs, not " + std::to_string(outputs.size()));
      for (std::size_t i = 0; i < kinds.size(); ++i)
         if (outputs[i].kind != kinds[i] || outputs[i].size() == 0)
            fail("cannot fill the output '" + outputs[i].name + "' of kind '" + outputs[i].kind + "'");
   }

   [[noreturn]] void fail(const std::string& what) const {
      throw std::invalid_argument("hepml_root: the representation '" + name + "' (" + kind + ") " + what);
   }

private:
   static std::size_t place(const std::vector<std::string>& names, const std::string& name) {
      for (std::size_t i = 0; i < names.size(); ++i)
         if (names[i] == name)
            return i;
      return none;
   }

   Json fJson;
};

} // namespace representations
} // namespace hepml_root

#endif

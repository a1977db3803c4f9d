// Reading JSON, as far as the manifest of a model needs it. C++17 standard library only.

#ifndef HEPML_ROOT_JSON_HXX
#define HEPML_ROOT_JSON_HXX

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hepml_root {

/// One JSON value: null, true, false, a number, a text, a list or an object.
class Json {
public:
   enum class Kind { kNull, kBool, kNumber, kText, kList, kObject };

   /// Read a complete JSON text. Throws std::runtime_error, naming the place, if it is none.
   static Json Parse(const std::string& text) {
      Reader reader{text, 0, 0};
      Json value = reader.Value();
      reader.Space();
      if (reader.fAt != text.size())
         reader.Fail("nothing more");
      return value;
   }

   Kind GetKind() const { return fKind; }
   bool IsNull() const { return fKind == Kind::kNull; }

   /// The text, number, … of this value. Throw std::runtime_error if it is of another kind.
   const std::string& Text() const { return Check(Kind::kText, "a text"), fText; }
   double Number() const { return Check(Kind::kNumber, "a number"), fNumber; }
   bool Bool() const { return Check(Kind::kBool, "true or false"), fNumber != 0; }
   const std::vector<Json>& List() const { return Check(Kind::kList, "a list"), fList; }

   /// All keys and values of an object.
   const std::map<std::string, Json>& Object() const { return Check(Kind::kObject, "an object"), fObject; }

   /// The value of a key of an object; null if there is no such key.
   const Json& operator[](const std::string& key) const {
      static const Json null;
      Check(Kind::kObject, "an object");
      const auto found = fObject.find(key);
      return found == fObject.end() ? null : found->second;
   }

   /// The value as JSON text, which Parse() reads back as the same value.
   std::string Write() const {
      std::string text;
      Write(text);
      return text;
   }

   /// A text as JSON, in quotes.
   static std::string Quoted(const std::string& text) {
      std::string quoted;
      WriteText(text, quoted);
      return quoted;
   }

private:
   void Write(std::string& to) const {
      const char* separator = "";
      switch (fKind) {
      case Kind::kNull:
         to += "null";
         return;
      case Kind::kBool:
         to += fNumber != 0 ? "true" : "false";
         return;
      case Kind::kNumber: {
         char digits[32];
         std::snprintf(digits, sizeof(digits), "%.17g", fNumber);
         to += digits;
         return;
      }
      case Kind::kText:
         WriteText(fText, to);
         return;
      case Kind::kList:
         to += '[';
         for (const Json& item : fList) {
            to += separator;
            item.Write(to);
            separator = ",";
         }
         to += ']';
         return;
      case Kind::kObject:
         to += '{';
         for (const auto& item : fObject) {
            to += separator;
            WriteText(item.first, to);
            to += ':';
            item.second.Write(to);
            separator = ",";
         }
         to += '}';
      }
   }

   static void WriteText(const std::string& text, std::string& to) {
      to += '"';
      for (const char c : text) {
         if (c == '"' || c == '\\')
            to += '\\';
         if (static_cast<unsigned char>(c) >= 0x20) {
            to += c;
            continue;
         }
         char code[8];
         std::snprintf(code, sizeof(code), "\\u%04x", static_cast<unsigned>(c));
         to += code;
      }
      to += '"';
   }

   struct Reader {
      const std::string& fInput;
      std::size_t fAt;
      int fDepth;

      [[noreturn]] void Fail(const std::string& expected) const {
         throw std::runtime_error("hepml_root: no valid JSON at byte " + std::to_string(fAt) + ": expected " +
                                  expected);
      }

      void Space() {
         while (fAt < fInput.size() && std::string(" \t\r\n").find(fInput[fAt]) != std::string::npos)
            ++fAt;
      }

      bool Take(const std::string& word) {
         if (fInput.compare(fAt, word.size(), word) != 0)
            return false;
         fAt += word.size();
         return true;
      }

      Json Value() {
         Json value;
         Space();
         if (++fDepth > 200)
            Fail("less nesting");
         if (Take("null")) {
         } else if (Take("true")) {
            value.fKind = Kind::kBool;
            value.fNumber = 1;
         } else if (Take("false")) {
            value.fKind = Kind::kBool;
         } else if (fAt < fInput.size() && fInput[fAt] == '"') {
            value.fKind = Kind::kText;
            value.fText = Text();
         } else if (Take("[")) {
            value.fKind = Kind::kList;
            Sequence("]", [&] { value.fList.push_back(Value()); });
         } else if (Take("{")) {
            value.fKind = Kind::kObject;
            Sequence("}", [&] {
               Space();
               std::string key = Text();
               Space();
               if (!Take(":"))
                  Fail("':'");
               value.fObject[std::move(key)] = Value();
            });
         } else {
            const char* begin = fInput.c_str() + fAt;
            char* end = nullptr;
            value.fKind = Kind::kNumber;
            value.fNumber = std::strtod(begin, &end);
            if (end == begin)
               Fail("a value");
            fAt += static_cast<std::size_t>(end - begin);
         }
         --fDepth;
         return value;
      }

      template <typename Item> void Sequence(const std::string& close, Item&& item) {
         Space();
         if (Take(close))
            return;
         do {
            item();
            Space();
         } while (Take(","));
         if (!Take(close))
            Fail("',' or '" + close + "'");
      }

      std::string Text() {
         if (!Take("\""))
            Fail("a text in quotes");
         std::string text;
         while (fAt < fInput.size() && fInput[fAt] != '"') {
            if (fInput[fAt] == '\\')
               Escape(text);
            else
               text += fInput[fAt++];
         }
         if (!Take("\""))
            Fail("the closing quote");
         return text;
      }

      void Escape(std::string& text) {
         static const std::string from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
         const char kind = ++fAt < fInput.size() ? fInput[fAt++] : '\0';
         if (kind == 'u') {
            unsigned long code = Hexadecimal();
            // Two halves of a character beyond 16 bits.
            if (code >= 0xd800 && code < 0xdc00 && Take("\\u"))
               code = 0x10000 + ((code - 0xd800) << 10) + (Hexadecimal() - 0xdc00);
            Append(text, code);
         } else if (const auto place = from.find(kind); kind != '\0' && place != std::string::npos) {
            text += to[place];
         } else {
            Fail("an escape");
         }
      }

      unsigned long Hexadecimal() {
         const std::string digits = fInput.substr(fAt, 4);
         if (digits.size() < 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
            Fail("four hexadecimal digits");
         fAt += 4;
         return std::stoul(digits, nullptr, 16);
      }

      static void Append(std::string& text, unsigned long code) {
         if (code < 0x80) {
            text += static_cast<char>(code);
            return;
         }
         const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
         static const unsigned char first[] = {0, 0xc0, 0xe0, 0xf0};
         text += static_cast<char>(first[more] | (code >> (6 * more)));
         for (int i = more - 1; i >= 0; --i)
            text += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3f));
      }
   };

   void Check(Kind kind, const char* expected) const {
      if (fKind != kind)
         throw std::runtime_error(std::string("hepml_root: the manifest has something else where ") +
                                  expected + " is needed");
   }

   Kind fKind = Kind::kNull;
   double fNumber = 0;
   std::string fText;
   std::vector<Json> fList;
   std::map<std::string, Json> fObject;
};

} // namespace hepml_root

#endif

// Objects of hepml_root's Python side, which C++ calls: one child process for the whole program, started when
// it is first needed. It prints what Python prints, and throws what Python raises.

#ifndef HEPML_ROOT_CONVERSATION_HXX
#define HEPML_ROOT_CONVERSATION_HXX

#include "json.hxx"
#include "python_side.hxx"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <stdlib.h> // mkdtemp

namespace hepml_root {

/// An argument of a call, as JSON.
class Argument {
public:
   Argument(bool value) : fJson(value ? "true" : "false") {}
   template <class Number, std::enable_if_t<std::is_integral_v<Number> || std::is_enum_v<Number>, int> = 0>
   Argument(Number value) : fJson(std::to_string(static_cast<long long>(value))) {}
   Argument(double value) : fJson(OfNumber(value)) {}
   Argument(const char* text) : fJson(Json::Quoted(text)) {}
   Argument(const std::string& text) : fJson(Json::Quoted(text)) {}
   /// ROOT's TString, and whatever else has Data().
   template <class Text, class = decltype(std::string(std::declval<const Text&>().Data()))>
   Argument(const Text& text) : Argument(std::string(text.Data())) {}
   template <class Number, std::enable_if_t<std::is_arithmetic_v<Number>, int> = 0>
   Argument(const std::vector<Number>& numbers) : fJson("[") {
      for (const Number number : numbers)
         fJson += (fJson.size() > 1 ? "," : "") + OfNumber(static_cast<double>(number));
      fJson += ']';
   }

   /// What is JSON already.
   static Argument OfJson(std::string json) { return Argument(std::move(json), Raw()); }
   /// An object with one key.
   static Argument Of(const std::string& key, const std::string& json) {
      return OfJson('{' + Json::Quoted(key) + ':' + json + '}');
   }

   const std::string& json() const { return fJson; }

private:
   struct Raw {};
   Argument(std::string json, Raw) : fJson(std::move(json)) {}

   static std::string OfNumber(double value) {
      if (std::isnan(value))
         return "NaN";
      if (std::isinf(value))
         return value > 0 ? "Infinity" : "-Infinity";
      char digits[32];
      std::snprintf(digits, sizeof(digits), "%.17g", value);
      return digits;
   }

   std::string fJson;
};

/// The Python side that is spoken with. One thread at a time.
class Conversation {
public:
   static Conversation& Instance() {
      static Conversation one;
      return one;
   }

   /// Do a call on an object, or, without, make one; see hepml_root/tmva/conversation.py. `keep`: the name
   /// that the result is kept by.
   ///
   /// Throws std::runtime_error with Python's message.
   Json Call(const std::string& on, const std::string& call, const std::vector<Argument>& arguments = {},
             const std::string& keep = "") {
      if (!fChild) {
         std::vector<std::string> words = PythonSide::Command();
         for (const char* word : {"factory", "--socket"})
            words.push_back(word);
         words.push_back(std::to_string(ChildProcess::socket_of_child));
         fChild = std::make_unique<ChildProcess>(words, true);
      }
      std::error_code none;
      std::string text = "{\"cwd\":" + Json::Quoted(std::filesystem::current_path(none).string());
      text += ",\"call\":" + Json::Quoted(call) + (on.empty() ? "" : ",\"on\":" + Json::Quoted(on));
      text += (keep.empty() ? "" : ",\"keep\":" + Json::Quoted(keep)) + ",\"arguments\":[";
      for (std::size_t i = 0; i < arguments.size(); ++i)
         text += (i ? "," : "") + arguments[i].json();
      text += "]}";
      std::string answer;
      std::vector<std::string> said;
      try {
         answer = fChild->Ask(text, [&said](const std::string& line, bool of_errors) {
            (of_errors ? std::cerr : std::cout) << line << std::endl;
            if (of_errors)
               said.push_back(line);
         });
      } catch (const std::runtime_error&) {
         throw std::runtime_error("hepml_root: " + Ended(said));
      }
      const Json found = Json::Parse(answer);
      if (!found["error"].IsNull())
         throw std::runtime_error("hepml_root: " + found["error"].Text());
      return found["value"];
   }

   /// A name for another object.
   std::string NewName() { return std::to_string(++fNames); }

   /// A path for a file that lives as long as the program.
   std::string TemporaryFile(const std::string& end) {
      if (fFolder.empty()) {
         std::string folder = (std::filesystem::temp_directory_path() / "hepml_root-XXXXXX").string();
         if (!mkdtemp(&folder[0]))
            throw std::runtime_error("hepml_root: no temporary folder '" + folder + "' can be made");
         fFolder = folder;
      }
      return fFolder + '/' + NewName() + end;
   }

   Conversation(const Conversation&) = delete;
   Conversation& operator=(const Conversation&) = delete;
   ~Conversation() {
      fChild.reset();
      std::error_code ignored;
      if (!fFolder.empty())
         std::filesystem::remove_all(fFolder, ignored);
   }

private:
   Conversation() = default;

   std::string Ended(const std::vector<std::string>& said) {
      int code = -1;
      std::string last = said.empty() ? "" : said.back();
      try {
         code = fChild->Finish([&last](const std::string& line, bool of_errors) {
            (of_errors ? std::cerr : std::cout) << line << std::endl;
            if (of_errors)
               last = line;
         });
      } catch (const std::runtime_error&) { // the code is not known
      }
      fChild.reset();
      return "the Python side has ended with code " + std::to_string(code) +
             (last.empty() ? "" : ": " + last);
   }

   std::unique_ptr<ChildProcess> fChild;
   std::string fFolder;
   long fNames = 0;
};

/// An object of the Python side; it is forgotten there when this one is destroyed.
class RemoteObject {
public:
   /// Make an object of a class.
   RemoteObject(const std::string& kind, const std::vector<Argument>& arguments) {
      Conversation::Instance().Call("", kind, arguments, fName);
   }
   /// Keep what a call gives.
   RemoteObject(const RemoteObject& from, const std::string& call, const std::vector<Argument>& arguments) {
      Conversation::Instance().Call(from.fName, call, arguments, fName);
   }
   RemoteObject(const RemoteObject&) = delete;
   RemoteObject& operator=(const RemoteObject&) = delete;
   ~RemoteObject() {
      try {
         Conversation::Instance().Call(fName, "forget");
      } catch (const std::runtime_error&) { // it has ended, and with it the object
      }
   }

   Json Call(const std::string& call, const std::vector<Argument>& arguments = {}) const {
      return Conversation::Instance().Call(fName, call, arguments);
   }

   /// The object as an argument.
   Argument AsArgument() const { return Argument::Of("object", Json::Quoted(fName)); }

private:
   std::string fName = Conversation::Instance().NewName();
};

} // namespace hepml_root

#endif

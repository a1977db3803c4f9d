// TMVA's Reader: the same calls on the same weight files, evaluated by compiled code. For C++17 programs and
// ROOT macros; needs nothing of ROOT.
//
//    #include "hepml_root/Reader.hxx"
//
//    hepml_root::Reader reader("!Color:!Silent");
//    float myvar1, var3;
//    reader.AddVariable("myvar1 := var1+var2", &myvar1);
//    reader.AddVariable("var3", &var3);
//    reader.BookMVA("BDT", "dataset/weights/TMVAClassification_BDT.weights.xml");
//    myvar1 = 2; var3 = 1;
//    double score = reader.EvaluateMVA("BDT");
//    reader.Evaluate("BDT", events, n, scores);     // n events at once, row by row: much faster
//
// A file is converted and compiled when it is booked first, by hepml-root's Python side (python_side.hxx),
// and kept in its cache. In RDataFrame: rdf/response.hxx. What is wrong is thrown as std::runtime_error.

#ifndef HEPML_ROOT_READER_HXX
#define HEPML_ROOT_READER_HXX

#include "weight_file.hxx"

#include <cctype>
#include <cstddef>
#include <limits>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace hepml_root {

/// A text as TMVA's users give it: "…", std::string or ROOT's TString. It lives as long as what it is of.
class TextView : public std::string_view {
public:
   TextView(const char* text) : std::string_view(text) {}
   TextView(const std::string& text) : std::string_view(text) {}
   TextView(std::string_view text) : std::string_view(text) {}
   template <class Text, class = std::enable_if_t<std::is_convertible_v<
                             decltype(std::declval<const Text&>().Data()), const char*>>>
   TextView(const Text& text) : std::string_view(text.Data(), static_cast<std::size_t>(text.Length())) {}

   std::string Text() const { return std::string(*this); }
};

/// A method that is booked in a Reader; what TMVA calls IMethod.
class BookedMethod {
public:
   explicit BookedMethod(WeightFile opened) : file(std::move(opened)) {}
   BookedMethod(const BookedMethod&) = delete;
   BookedMethod& operator=(const BookedMethod&) = delete;
   virtual ~BookedMethod() = default;

   const char* GetName() const { return file.title().c_str(); }
   std::string GetMethodName() const { return file.title(); }
   std::string GetMethodTypeName() const { return file.method(); }
   /// The expression of a variable.
   std::string GetInputVar(std::size_t i) const { return file.variables().at(i).expression; }
   std::string GetInputLabel(std::size_t i) const { return file.variables().at(i).label; }
   unsigned GetNvar() const { return static_cast<unsigned>(file.variables().size()); }

   const WeightFile file;
};

/// A booked method of type Cuts.
class BookedCuts : public BookedMethod {
public:
   using BookedMethod::BookedMethod;

   /// The cuts min < x <= max of all variables at a signal efficiency.
   void GetCuts(double signal_efficiency, std::vector<double>& least, std::vector<double>& most) const {
      file.GetCuts(signal_efficiency, least, most);
   }
};

/// Evaluates weight files event by event, as TMVA::Reader does, and in blocks.
///
/// One Reader serves one thread, as it takes events from addresses; Evaluate(), and rdf::Response of
/// rdf/response.hxx, may be called from any number of threads at once.
class Reader {
public:
   /// `options` are TMVA's, such as "!Color:!Silent"; they concern its messages and change nothing here.
   explicit Reader(TextView options = "", bool /*verbose*/ = false) { CheckOptions(options); }

   /// With variables that have no addresses: events are then given as vectors or in blocks.
   template <class Text> explicit Reader(const std::vector<Text>& variables, TextView options = "") {
      CheckOptions(options);
      for (const Text& variable : variables)
         Add("variable", fVariables, variable, {nullptr, nullptr});
   }

   /// Declare the next variable, with where its value of the event will be.
   ///
   /// `expression` is that of the training; `label := expression` and spaces are as one likes. Throws
   /// std::runtime_error if a method is booked already, or the expression was added before.
   void AddVariable(TextView expression, float* address) {
      Add("variable", fVariables, expression, {Given(expression, address), nullptr});
   }
   void AddVariable(TextView expression, int* address) {
      Add("variable", fVariables, expression, {nullptr, Given(expression, address)});
   }

   /// Declare the next spectator; all of the training have to be declared.
   void AddSpectator(TextView expression, float* address) {
      Add("spectator", fSpectators, expression, {address, nullptr});
   }
   void AddSpectator(TextView expression, int* address) {
      Add("spectator", fSpectators, expression, {nullptr, address});
   }

   /// Read a weight file, compiled if it is not in the cache. Returns the method, which lives as long as the
   /// Reader.
   ///
   /// Throws std::runtime_error if the tag is taken, if the variables and spectators declared are not those
   /// of the file in its order, or as WeightFile::Open().
   BookedMethod* BookMVA(TextView tag, TextView file) {
      if (fMethods.count(tag))
         throw std::runtime_error("hepml_root: a method '" + tag.Text() + "' is booked already");
      WeightFile opened = WeightFile::Open(file.Text());
      Match("variable", "AddVariable", fVariables, opened.variables(), opened);
      Match("spectator", "AddSpectator", fSpectators, opened.spectators(), opened);
      Booked booked;
      for (const std::string& input : opened.inputs())
         booked.inputs.push_back(PlaceOf(input, opened));
      booked.event.resize(booked.inputs.size());
      booked.answer.resize(opened.outputs().size());
      if (opened.IsCuts())
         booked.method = std::make_unique<BookedCuts>(std::move(opened));
      else
         booked.method = std::make_unique<BookedMethod>(std::move(opened));
      return fMethods.emplace(tag.Text(), std::move(booked)).first->second.method.get();
   }

   /// A booked method, nullptr if there is none of that tag.
   BookedMethod* FindMVA(TextView tag) const {
      const auto found = fMethods.find(tag);
      return found == fMethods.end() ? nullptr : found->second.method.get();
   }
   BookedCuts* FindCutsMVA(TextView tag) const { return dynamic_cast<BookedCuts*>(FindMVA(tag)); }

   /// The response of a classifier to the event at the addresses. `signal_efficiency` is for the method Cuts,
   /// which answers 1 or 0. An event with NaN gives −999.
   ///
   /// Throws std::runtime_error if there is no such method, it is no classifier, or Cuts lacks its
   /// efficiency.
   double EvaluateMVA(TextView tag, double signal_efficiency = not_given) {
      Booked& booked = Find(tag, "Classification");
      Gather(booked, nullptr, 0);
      return Respond(booked, signal_efficiency);
   }

   /// The same, of values in the order of GetInputs().
   template <class T>
   double EvaluateMVA(const std::vector<T>& values, TextView tag, double signal_efficiency = not_given) {
      Booked& booked = Find(tag, "Classification");
      Gather(booked, values.data(), values.size());
      return Respond(booked, signal_efficiency);
   }

   /// The values of a regression for the event at the addresses, one for each target. They stay valid until
   /// the next call for this method.
   const std::vector<float>& EvaluateRegression(TextView tag, double = 0) { return All(tag, "Regression"); }

   /// One of them.
   float EvaluateRegression(unsigned target, TextView tag, double = 0) {
      return One(target, tag, "Regression", "target");
   }

   /// The response for each class to the event at the addresses; see EvaluateRegression().
   const std::vector<float>& EvaluateMulticlass(TextView tag, double = 0) { return All(tag, "Multiclass"); }

   /// One of them.
   float EvaluateMulticlass(unsigned which, TextView tag, double = 0) {
      return One(which, tag, "Multiclass", "class");
   }

   /// The same, of values in the order of GetInputs().
   template <class T>
   const std::vector<float>& EvaluateRegression(const std::vector<T>& values, TextView tag) {
      return All(tag, "Regression", values.data(), values.size());
   }
   template <class T>
   const std::vector<float>& EvaluateMulticlass(const std::vector<T>& values, TextView tag) {
      return All(tag, "Multiclass", values.data(), values.size());
   }

   /// n events at once: `events` (n, inputs) row by row, `out` (n, outputs). The inputs are the variables in
   /// their order, after which come the spectators that a method looks at, if it does (GetInputs()).
   void Evaluate(TextView tag, const float* events, std::size_t n, float* out) const {
      Find(tag, "").method->file.Evaluate(events, n, out);
   }

   /// The expressions of what Evaluate() takes for each event.
   const std::vector<std::string>& GetInputs(TextView tag) const {
      return Find(tag, "").method->file.inputs();
   }

   /// The probability that the event at the addresses is signal, of which a fraction is expected; with
   /// `response`, that of this response. The method must have been trained with CreateMVAPdfs.
   double GetProba(TextView tag, double signal_fraction = 0.5, double response = not_a_response) {
      return Response(tag, response,
                      [&](const WeightFile& file, double y) { return file.Probability(y, signal_fraction); });
   }
   /// The share of the background with a smaller response; see GetProba().
   double GetRarity(TextView tag, double response = not_a_response) {
      return Response(tag, response, [](const WeightFile& file, double y) { return file.Rarity(y); });
   }

   /// TMVA has errors of its methods PDEFoam and BDT alone; the methods here give none.
   double GetMVAError() const { return NoError("GetMVAError"); }
   double GetMVAErrorLower() const { return NoError("GetMVAErrorLower"); }
   double GetMVAErrorUpper() const { return NoError("GetMVAErrorUpper"); }

private:
   static constexpr double not_given = std::numeric_limits<double>::quiet_NaN();
   static constexpr double not_a_response = -9999999; // TMVA's

   struct Address {
      const float* number;
      const int* whole;
      bool IsGiven() const { return number || whole; }
      float Value() const { return number ? *number : static_cast<float>(*whole); }
   };

   struct Declared {
      std::string expression;
      Address address;
   };

   /// Where a value of the event comes from.
   struct Place {
      bool of_spectators;
      std::size_t index;
   };

   struct Booked {
      std::unique_ptr<BookedMethod> method;
      std::vector<Place> inputs;
      std::vector<float> event, answer;
   };

   static void CheckOptions(std::string_view options) {
      std::istringstream words{std::string(options)};
      for (std::string word; std::getline(words, word, ':');) {
         word = Plain(word.substr(0, word.find('=')));
         if (!word.empty() && word[0] == '!')
            word.erase(0, 1);
         bool known = word.empty();
         for (const char* option : {"Silent", "Color", "Error", "V", "VerboseLevel"})
            known |= word == option;
         if (!known)
            throw std::runtime_error("hepml_root: no option of the Reader '" + word +
                                     "'. Available: Silent, Color, Error, V, VerboseLevel");
      }
   }

   template <class T> static T* Given(const TextView& expression, T* address) {
      if (!address)
         throw std::runtime_error("hepml_root: the variable '" + expression.Text() + "' has no address");
      return address;
   }

   void Add(const std::string& kind, std::vector<Declared>& declared, TextView expression, Address address) {
      if (!fMethods.empty())
         throw std::runtime_error("hepml_root: the " + kind + " '" + expression.Text() +
                                  "' comes after BookMVA: declare all variables and spectators before");
      const auto separator = expression.find(":=");
      const std::string formula(separator == std::string_view::npos ? std::string_view(expression)
                                                                    : expression.substr(separator + 2));
      for (const Declared& other : declared)
         if (Plain(other.expression) == Plain(formula))
            throw std::runtime_error("hepml_root: the " + kind + " '" + expression.Text() +
                                     "' is declared twice");
      declared.push_back({formula, address});
   }

   static std::string Plain(std::string_view text) {
      std::string plain;
      for (const char c : text)
         if (!std::isspace(static_cast<unsigned char>(c)))
            plain += c;
      return plain;
   }

   static std::string Trimmed(const std::string& text) {
      const auto begin = text.find_first_not_of(" \t");
      return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
   }

   static void Match(const std::string& kind, const std::string& call, const std::vector<Declared>& declared,
                     const std::vector<WeightFile::Variable>& wanted, const WeightFile& file) {
      const std::string place =
          "hepml_root: '" + file.path() + "' (" + file.method() + "::" + file.title() + ")";
      std::string names;
      for (const auto& variable : wanted)
         names += (names.empty() ? "" : ", ") + variable.expression;
      for (std::size_t i = 0; i < declared.size() && i < wanted.size(); ++i) {
         const std::string given = Plain(declared[i].expression);
         if (given == Plain(wanted[i].expression) || given == Plain(wanted[i].label))
            continue;
         const std::string is =
             place + ": " + kind + " " + std::to_string(i) + " is '" + wanted[i].expression + "'";
         const std::string asked = Trimmed(declared[i].expression);
         for (std::size_t j = 0; j < wanted.size(); ++j)
            if (given == Plain(wanted[j].expression))
               throw std::runtime_error(is + ", and '" + asked + "' is " + kind + " " + std::to_string(j) +
                                        ": call " + call + " in the order " + names);
         throw std::runtime_error(is + "; no " + kind + " '" + asked + "'. Available: " + names);
      }
      if (declared.size() != wanted.size())
         throw std::runtime_error(place + " has " + std::to_string(wanted.size()) + " " + kind + "s, and " +
                                  std::to_string(declared.size()) + " are declared. Call " + call +
                                  " for each, in the order " + (names.empty() ? "(none)" : names));
   }

   static Place PlaceOf(const std::string& input, const WeightFile& file) {
      for (const bool of_spectators : {false, true}) {
         const auto& known = of_spectators ? file.spectators() : file.variables();
         for (std::size_t i = 0; i < known.size(); ++i)
            if (Plain(known[i].expression) == Plain(input))
               return {of_spectators, i};
      }
      throw std::runtime_error("hepml_root: '" + file.path() + "' takes '" + input +
                               "', which is neither a variable nor a spectator of it");
   }

   Booked& Find(TextView tag, const std::string& analysis) {
      return const_cast<Booked&>(static_cast<const Reader*>(this)->Find(tag, analysis));
   }

   const Booked& Find(TextView tag, const std::string& analysis) const {
      const auto found = fMethods.find(tag);
      if (found == fMethods.end()) {
         std::string tags;
         for (const auto& method : fMethods)
            tags += (tags.empty() ? "" : ", ") + method.first;
         throw std::runtime_error("hepml_root: no method '" + tag.Text() + "'. Available: " +
                                  (tags.empty() ? "none" : tags) + ". Book it with BookMVA(tag, file)");
      }
      const std::string& is = found->second.method->file.analysis();
      if (!analysis.empty() && is != analysis)
         throw std::runtime_error("hepml_root: '" + tag.Text() + "' is a method for " + is +
                                  ": call Evaluate" + (is == "Classification" ? "MVA" : is));
      return found->second;
   }

   /// Put the event together: of `values` or, without, of the addresses.
   template <class T> void Gather(Booked& booked, const T* values, std::size_t count) const {
      if ((values || count) && count != booked.inputs.size())
         throw std::runtime_error(
             "hepml_root: " + std::to_string(booked.inputs.size()) +
             " numbers are needed, one for each variable; given: " + std::to_string(count));
      for (std::size_t i = 0; i < booked.inputs.size(); ++i) {
         if (values) {
            booked.event[i] = static_cast<float>(values[i]);
            continue;
         }
         const Place place = booked.inputs[i];
         const Declared& declared = (place.of_spectators ? fSpectators : fVariables)[place.index];
         if (!declared.address.IsGiven())
            throw std::runtime_error("hepml_root: '" + Trimmed(declared.expression) +
                                     "' was declared without an address: give the values as a vector");
         booked.event[i] = declared.address.Value();
      }
   }
   void Gather(Booked& booked, std::nullptr_t, std::size_t) const {
      Gather(booked, static_cast<const float*>(nullptr), 0);
   }

   static double Respond(Booked& booked, double signal_efficiency) {
      const WeightFile& file = booked.method->file;
      if (file.IsCuts() && !std::isnan(signal_efficiency)) {
         if (file.HasNaN(booked.event.data()))
            return WeightFile::not_a_number;
         return file.Passes(booked.event.data(), signal_efficiency) ? 1 : 0;
      }
      file.Evaluate(booked.event.data(), 1, booked.answer.data());
      return booked.answer[0];
   }

   const std::vector<float>& All(TextView tag, const char* analysis) {
      return All(tag, analysis, static_cast<const float*>(nullptr), 0);
   }
   template <class T>
   const std::vector<float>& All(TextView tag, const char* analysis, const T* values, std::size_t count) {
      Booked& booked = Find(tag, analysis);
      Gather(booked, values, count);
      booked.method->file.Evaluate(booked.event.data(), 1, booked.answer.data());
      return booked.answer;
   }

   float One(unsigned which, TextView tag, const char* analysis, const char* what) {
      const std::vector<float>& all = All(tag, analysis);
      if (which >= all.size())
         throw std::runtime_error(std::string("hepml_root: ") + what + " " + std::to_string(which) +
                                  ": the method has " + std::to_string(all.size()) + ", counted from 0");
      return all[which];
   }

   template <class Work> double Response(TextView tag, double response, Work&& work) {
      Booked& booked = Find(tag, "Classification");
      const WeightFile& file = booked.method->file;
      if (response == not_a_response && file.HasDensities()) {
         Gather(booked, nullptr, 0);
         response = Respond(booked, not_given);
      }
      return work(file, response);
   }

   static double NoError(const std::string& call) {
      throw std::runtime_error("hepml_root: " + call + ": no method here gives an error of its response");
   }

   std::vector<Declared> fVariables, fSpectators;
   std::map<std::string, Booked, std::less<>> fMethods;
};

} // namespace hepml_root

#endif

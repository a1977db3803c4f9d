// A compiled network, loaded while the program runs: a library that hepml-root compile has made, or an .onnx
// file or a weight file of TMVA, for which this is done first. C++17 and dlopen.

#ifndef HEPML_ROOT_COMPILED_LIBRARY_HXX
#define HEPML_ROOT_COMPILED_LIBRARY_HXX

#include "python_side.hxx"

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <dlfcn.h>

namespace hepml_root {

/// The functions of a compiled network; they stay loaded until the program ends.
struct CompiledLibrary {
   /// `event` is the number of the first event: with the seed it makes the draws of random operators.
   using Infer = void (*)(const float* const* inputs, std::size_t events, float* const* outputs,
                          std::uint64_t seed, std::uint64_t event);
   std::string manifest;
   Infer infer = nullptr;

   /// The beginning of the names of a library's functions, which are unique to the model: the table of
   /// symbols tells it. Throws std::runtime_error if the file is no such library.
   static std::string SymbolOf(const std::string& library) {
      std::ifstream file(library, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      static const std::string begin = "hepml_root_", end = "_infer";
      constexpr std::size_t digits = 32;
      for (auto at = bytes.find(begin); at != std::string::npos; at = bytes.find(begin, at + 1)) {
         const std::string found = bytes.substr(at, begin.size() + digits);
         if (bytes.compare(at + found.size(), end.size(), end) == 0 &&
             found.find_first_not_of("0123456789abcdef", begin.size()) == std::string::npos)
            return found;
      }
      throw std::runtime_error("hepml_root: '" + library + "' is no compiled model; make one with " +
                               "hepml-root compile MODEL.onnx -o MODEL.so");
   }

   /// Load a library, or compile an .onnx file or a weight file of TMVA (.xml) by hepml-root's Python side
   /// (python_side.hxx), which keeps it in its cache.
   ///
   /// Throws std::runtime_error if there is no such file, it is none of these, or it is not compiled.
   static CompiledLibrary Open(const std::string& path) {
      if (!std::ifstream(path))
         throw std::runtime_error("hepml_root: there is no model file '" + path + "'");
      if (EndsWith(path, ".onnx"))
         return Made({"compile", path, "--isa", "native"});
      if (EndsWith(path, ".xml"))
         return Made({"library", path});
      const std::string symbol = SymbolOf(path);
      // A name without a folder is looked for in the system's folders only.
      const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
      void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (!library)
         throw std::runtime_error("hepml_root: the library '" + path + "' cannot be loaded: " + dlerror());
      const auto infer = dlsym(library, (symbol + "_infer_seeded").c_str());
      const auto manifest = dlsym(library, (symbol + "_manifest").c_str());
      if (!infer || !manifest)
         throw std::runtime_error("hepml_root: the library '" + path + "' lacks the functions of a model");
      return {reinterpret_cast<const char* (*)()>(manifest)(), reinterpret_cast<Infer>(infer)};
   }

private:
   static bool EndsWith(const std::string& path, const std::string& end) {
      return path.size() > end.size() && path.compare(path.size() - end.size(), end.size(), end) == 0;
   }

   static CompiledLibrary Made(const std::vector<std::string>& command) {
      const std::string said = PythonSide::Run(command); // its first line is the path of the library
      const CompiledLibrary opened = Open(said.substr(0, said.find('\n')));
      opened.infer(nullptr, 0, nullptr, 0, 0); // has read its weights: the cache may be cleaned now
      return opened;
   }
};

} // namespace hepml_root

#endif

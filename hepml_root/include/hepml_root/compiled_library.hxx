// A compiled network, loaded while the program runs: a library that hepml-root compile has made, or an .onnx
// file, for which this is done first. C++17 and dlopen.

#ifndef HEPML_ROOT_COMPILED_LIBRARY_HXX
#define HEPML_ROOT_COMPILED_LIBRARY_HXX

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>

#include <dlfcn.h>
#include <stdlib.h> // mkdtemp

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

   /// Load a library, or compile an .onnx file by the command hepml-root, which has to be in the PATH.
   ///
   /// Throws std::runtime_error if there is no such file, it is none of both, or it is not compiled.
   static CompiledLibrary Open(const std::string& path) {
      if (!std::ifstream(path))
         throw std::runtime_error("hepml_root: there is no model file '" + path + "'");
      const std::string end = ".onnx";
      if (path.size() > end.size() && path.compare(path.size() - end.size(), end.size(), end) == 0)
         return Compile(path);
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
   static std::string Quoted(const std::string& text) {
      std::string quoted = "'";
      for (const char c : text)
         quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
      return quoted + "'";
   }

   static CompiledLibrary Compile(const std::string& model) {
      if (std::system("command -v hepml-root > /dev/null 2>&1") != 0)
         throw std::runtime_error(
             "hepml_root: the command hepml-root is not in the PATH: activate the environment that "
             "hepml_root "
             "is installed in, or give a library made by hepml-root compile MODEL.onnx -o MODEL.so");
      std::string folder = (std::filesystem::temp_directory_path() / "hepml_root-XXXXXX").string();
      if (!mkdtemp(&folder[0]))
         throw std::runtime_error("hepml_root: no temporary folder '" + folder + "' can be made");
      const std::string library = folder + "/model.so";
      const std::string command =
          "hepml-root compile " + Quoted(model) + " --isa native -o " + Quoted(library) + " > /dev/null";
      const int code = std::system(command.c_str());
      CompiledLibrary opened;
      std::string said;
      try {
         if (code != 0)
            throw std::runtime_error("hepml_root: the model '" + model +
                                     "' was not compiled; the lines above say why");
         opened = Open(library);
         opened.infer(nullptr, 0, nullptr, 0, 0); // has read its weights: the files are needed no more
      } catch (const std::runtime_error& error) {
         said = error.what();
      }
      std::error_code ignored;
      std::filesystem::remove_all(folder, ignored);
      if (!said.empty())
         throw std::runtime_error(said);
      return opened;
   }
};

} // namespace hepml_root

#endif

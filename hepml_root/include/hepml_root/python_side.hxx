// The Python side of hepml_root, called from C++ as a child process.
//
// It is looked for in this order: the environment variable HEPML_ROOT_PYTHON (a Python that has hepml_root);
// the command hepml-root in the PATH; the environment that this header is installed in.

#ifndef HEPML_ROOT_PYTHON_SIDE_HXX
#define HEPML_ROOT_PYTHON_SIDE_HXX

#include "child_process.hxx"

#include <cstdlib>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

namespace hepml_root {

class PythonSide {
public:
   /// Run `hepml-root` with these arguments and return what it writes to the standard output.
   ///
   /// Throws std::runtime_error with the message of the command if it fails, or if there is no Python side.
   static std::string Run(const std::vector<std::string>& arguments) {
      std::string output;
      Run(arguments, [&output](const std::string& line, bool of_errors) {
         if (!of_errors)
            output += line + '\n';
      });
      return output;
   }

   /// The same, where `line` gets every line as it comes.
   static void Run(const std::vector<std::string>& arguments, const ChildProcess::Line& line) {
      std::vector<std::string> words = Command();
      words.insert(words.end(), arguments.begin(), arguments.end());
      std::vector<std::string> said;
      const int code = ChildProcess::Run(words, [&](const std::string& text, bool of_errors) {
         if (of_errors)
            said.push_back(text);
         line(text, of_errors);
      });
      if (code != 0)
         throw std::runtime_error("hepml_root: " + Message(said, words, code));
   }

   /// The words of the command line.
   ///
   /// Throws std::runtime_error that says what to do if there is no Python side.
   static std::vector<std::string> Command() {
      const char* const python = std::getenv("HEPML_ROOT_PYTHON");
      if (python && *python) {
         if (!Runs(python) && !InPath(python).size())
            throw std::runtime_error(std::string("hepml_root: HEPML_ROOT_PYTHON is '") + python +
                                     "', which is no program: give the path of a Python that has hepml_root");
         return {python, "-m", "hepml_root"};
      }
      const std::string found = InPath("hepml-root");
      if (!found.empty())
         return {found};
      // .../lib/python3.11/site-packages/hepml_root/include/hepml_root/python_side.hxx
      std::string folder = __FILE__;
      for (int up = 0; up < 7; ++up) {
         const auto slash = folder.rfind('/');
         if (slash == std::string::npos)
            break;
         folder.resize(slash);
      }
      const std::string beside = folder + "/bin/hepml-root";
      if (Runs(beside))
         return {beside};
      throw std::runtime_error(
          "hepml_root: its Python side is not found: activate the environment that hepml_root is installed "
          "in, so that the command hepml-root is in the PATH, or set HEPML_ROOT_PYTHON to the Python of it");
   }

private:
   static bool Runs(const std::string& path) {
      return path.find('/') != std::string::npos && access(path.c_str(), X_OK) == 0;
   }

   static std::string InPath(const std::string& name) {
      const char* const path = std::getenv("PATH");
      std::istringstream folders(path ? path : "");
      for (std::string folder; std::getline(folders, folder, ':');)
         if (Runs((folder.empty() ? "." : folder) + "/" + name))
            return (folder.empty() ? "." : folder) + "/" + name;
      return "";
   }

   /// What the command says is wrong: its last message, which begins with its name; or all it said.
   static std::string Message(const std::vector<std::string>& said, const std::vector<std::string>& words,
                              int code) {
      static const std::string begin = "hepml-root: ";
      std::string all;
      for (std::size_t i = said.size(); i-- > 0;) {
         const bool message = said[i].compare(0, begin.size(), begin) == 0;
         all = (message ? said[i].substr(begin.size()) : said[i]) + (all.empty() ? "" : "\n") + all;
         if (message)
            return all;
      }
      std::string command;
      for (const std::string& word : words)
         command += (command.empty() ? "" : " ") + word;
      return "'" + command + "' ended with code " + std::to_string(code) + (all.empty() ? "" : ":\n") + all;
   }
};

} // namespace hepml_root

#endif

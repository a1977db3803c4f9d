// Scores of a model for every event of a tree, written as a friend tree.
//
//    root -l -b -q 'macros/applyModel.C("higgs.onnx", "data.root", "events", "scores.root")'
//    root [0] events->AddFriend("scores", "scores.root"); events->Draw("score");
//
// The model is compiled once by `hepml-root compile` and cached; instead of an .onnx file, a library made by
// `hepml-root compile higgs.onnx -o higgs.so` is taken too, and then neither Python nor a compiler is needed.
// The inputs are read by the expressions in the model's manifest. Python's hepml_root.apply and the command
// `hepml-root apply` write the same file several times faster, reading in bulk.

#include "../hepml_root/include/hepml_root/rdf/define.hxx"

#include <TSystem.h>

#include <iostream>

namespace {

std::string Quoted(const std::string& text) {
   std::string quoted = "'";
   for (const char c : text)
      quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
   return quoted + "'";
}

// The command hepml-root: of the PATH, or of the Python environment that this ROOT is installed in.
std::string Command() {
   if (const char* found = gSystem->Which(gSystem->Getenv("PATH"), "hepml-root", kExecutePermission))
      return Quoted(found);
   const std::string beside = std::string(TROOT::GetBinDir().Data()) + "/../../../../../bin/hepml-root";
   if (!gSystem->AccessPathName(beside.c_str(), kExecutePermission))
      return Quoted(beside);
   throw std::runtime_error(
       "the command hepml-root is not in the PATH: activate the environment that hepml_root is "
       "installed in, or give a library made by hepml-root compile MODEL.onnx -o MODEL.so");
}

// Compile an .onnx file into a library in a folder of its own, which the caller removes.
std::string Compiled(const std::string& model, const std::string& folder) {
   const std::string library = folder + "/model.so";
   const std::string command =
       Command() + " compile " + Quoted(model) + " --isa native -o " + Quoted(library) + " > /dev/null";
   if (gSystem->Exec(command.c_str()) != 0)
      throw std::runtime_error("the model '" + model + "' was not compiled; the lines above say why");
   return library;
}

void Apply(const std::string& model, const std::string& file, const std::string& tree,
           const std::string& output, const std::string& column, const std::string& folder) {
   if (gSystem->AccessPathName(model.c_str()))
      throw std::runtime_error("there is no model file '" + model + "'");
   if (!gSystem->AccessPathName(output.c_str()))
      throw std::runtime_error("'" + output + "' exists already; remove it or choose another name");
   std::unique_ptr<TFile> opened(TFile::Open(file.c_str()));
   if (!opened || opened->IsZombie())
      throw std::runtime_error("the file '" + file + "' cannot be opened");
   if (!opened->Get<TTree>(tree.c_str()))
      throw std::runtime_error("the file '" + file + "' has no tree '" + tree + "'");
   opened.reset();

   const bool compiled = model.size() > 3 && model.substr(model.size() - 3) == ".so";
   const auto loaded = hepml_root::rdf::Load(compiled ? model : Compiled(model, folder));
   auto scored = hepml_root::rdf::Define(ROOT::RDataFrame(tree, file), loaded, column);
   std::vector<std::string> columns;
   for (const auto& name : scored.GetDefinedColumnNames())
      if (name.compare(0, column.size(), column) == 0)
         columns.push_back(name);

   ROOT::RDF::RSnapshotOptions options;
   options.fOutputFormat = ROOT::RDF::ESnapshotOutputFormat::kTTree;
   auto count = scored.Count();
   // Under its final name only when it is complete.
   const std::string unfinished = folder + "/scores.root";
   scored.Snapshot("scores", unfinished, columns, options);
   if (gSystem->CopyFile(unfinished.c_str(), output.c_str()) != 0)
      throw std::runtime_error("'" + output + "' cannot be written");
   std::cout << output << ":scores has " << columns[0] << (columns.size() > 1 ? ", …" : "") << " of "
             << *count << " events\n";
}

} // namespace

void applyModel(const char* model, const char* file, const char* tree, const char* output,
                const char* column = "score") {
   const TString folder = TString(gSystem->DirName(output)) + "/.writing-" + gSystem->GetPid();
   int code = 0;
   gSystem->mkdir(folder, true);
   try {
      Apply(model, file, tree, output, column, folder.Data());
   } catch (const std::exception& error) {
      std::cerr << "applyModel: " << error.what() << '\n';
      code = 2;
   }
   gSystem->Exec("rm -rf " + TString(Quoted(folder.Data())));
   if (code != 0)
      gSystem->Exit(code);
}

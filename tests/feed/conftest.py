"""ROOT files with every kind of column, written by ROOT; the tests read them back with uproot."""

from __future__ import annotations

from pathlib import Path

import pytest

EVENTS = 5000

_WRITER = r"""
#include <ROOT/RNTupleModel.hxx>
#include <ROOT/RNTupleWriter.hxx>
#include <TFile.h>
#include <TRandom3.h>
#include <TTree.h>
#include <array>
#include <vector>
namespace hepml_root_tests {
struct Event {
   Bool_t o; Char_t b; UChar_t ub; Short_t s; UShort_t us; Int_t i; UInt_t ui; Long64_t l; ULong64_t ul;
   Float_t f; Double_t d; Float_t array[5]; Int_t n; Float_t jet_pt[20]; Float_t jet_eta[20];
   std::vector<double> v;
   void next(TRandom3 &r, long long entry) {
      o = r.Integer(2); b = int(r.Integer(256)) - 128; ub = r.Integer(256); s = int(r.Integer(65536)) - 32768;
      us = r.Integer(65536); i = entry - 1000; ui = r.Integer(4000000000u); l = -(1LL << 60) + entry;
      ul = (1ULL << 63) + entry; f = r.Gaus(); d = r.Exp(1e10);
      for (auto &a : array) a = r.Rndm();
      n = r.Integer(20);
      for (int k = 0; k < n; ++k) { jet_pt[k] = r.Exp(50); jet_eta[k] = r.Gaus(); }
      v.assign(r.Integer(4), entry);
   }
};
void tree(const char *path, const char *name, long long events, unsigned seed, int compression) {
   TFile file(path, "UPDATE", "", compression);
   TTree t(name, "");
   t.SetAutoFlush(1300);
   Event e; auto *v = &e.v; struct { Float_t x; Int_t y; } pair;
   // Baskets of different lengths, so that their boundaries lie at different entries.
   t.Branch("o", &e.o, "o/O", 900); t.Branch("b", &e.b, "b/B", 1100); t.Branch("ub", &e.ub, "ub/b", 1300);
   t.Branch("s", &e.s, "s/S", 1500); t.Branch("us", &e.us, "us/s", 1700); t.Branch("i", &e.i, "i/I", 1900);
   t.Branch("ui", &e.ui, "ui/i", 2100); t.Branch("l", &e.l, "l/L", 2300); t.Branch("ul", &e.ul, "ul/l", 2500);
   t.Branch("f", &e.f, "f/F", 64000); t.Branch("d", &e.d, "d/D", 128000);
   t.Branch("odd-name", &e.f, "odd-name/F"); t.Branch("array", e.array, "array[5]/F", 700);
   t.Branch("pair", &pair, "x/F:y/I"); t.Branch("n", &e.n, "n/I");
   t.Branch("jet_pt", e.jet_pt, "jet_pt[n]/F"); t.Branch("jet_eta", e.jet_eta, "jet_eta[n]/F");
   t.Branch("v", &v);
   TRandom3 r(seed);
   for (long long k = 0; k < events; ++k) { e.next(r, k); pair.x = e.f; pair.y = e.i; t.Fill(); }
   file.Write();
}
void long_tree(const char *path, long long events, int compression) {
   TFile file(path, "RECREATE", "", compression);
   TTree t("events", "");
   t.SetAutoFlush(events);
   Float_t f; Double_t d; Float_t array[7];
   t.Branch("f", &f, "f/F", 1 << 20); t.Branch("d", &d, "d/D", 1 << 20);
   t.Branch("array", array, "array[7]/F", 1 << 20);
   TRandom3 r(3);
   for (long long k = 0; k < events; ++k) {
      f = r.Gaus(); d = k; for (auto &a : array) a = r.Rndm();
      t.Fill();
   }
   file.Write();
}
void ntuple(const char *path, const char *name, long long events, unsigned seed) {
   auto m = ROOT::RNTupleModel::Create();
   auto o = m->MakeField<bool>("o"); auto b = m->MakeField<std::int8_t>("b");
   auto ub = m->MakeField<std::uint8_t>("ub"); auto s = m->MakeField<std::int16_t>("s");
   auto us = m->MakeField<std::uint16_t>("us"); auto i = m->MakeField<std::int32_t>("i");
   auto ui = m->MakeField<std::uint32_t>("ui"); auto l = m->MakeField<std::int64_t>("l");
   auto ul = m->MakeField<std::uint64_t>("ul"); auto f = m->MakeField<float>("f");
   auto d = m->MakeField<double>("d"); auto a = m->MakeField<std::array<float, 5>>("array");
   auto p = m->MakeField<std::vector<float>>("jet_pt");
   ROOT::RNTupleWriteOptions options;
   options.SetMaxUnzippedPageSize(20000);
   options.SetApproxZippedClusterSize(60000);
   options.SetMaxUnzippedClusterSize(120000);
   auto w = ROOT::RNTupleWriter::Recreate(std::move(m), name, path, options);
   TRandom3 r(seed); Event e;
   for (long long k = 0; k < events; ++k) {
      e.next(r, k);
      *o = e.o; *b = e.b; *ub = e.ub; *s = e.s; *us = e.us; *i = e.i; *ui = e.ui; *l = e.l; *ul = e.ul;
      *f = e.f; *d = e.d; std::copy(e.array, e.array + 5, a->begin()); p->assign(e.jet_pt, e.jet_pt + e.n);
      w->Fill();
   }
}
}
"""


@pytest.fixture(scope="session")
def writer():
    """The namespace with tree(path, name, events, seed, compression), long_tree(...) and ntuple(...)."""
    from hepml_root.data.feed_library import import_root

    ROOT = import_root()
    assert ROOT.gInterpreter.Declare(_WRITER)
    return ROOT.hepml_root_tests


@pytest.fixture(scope="session")
def mixed(writer, tmp_path_factory) -> dict[str, str]:
    """Files with the tree or RNTuple "events" of all types: zlib, uncompressed, lz4, zstd, rntuple."""
    folder: Path = tmp_path_factory.mktemp("mixed")
    paths = {
        name: str(folder / f"{name}.root") for name in ("zlib", "uncompressed", "lz4", "zstd", "rntuple")
    }
    for name, compression in {"zlib": 101, "uncompressed": 0, "lz4": 404, "zstd": 505}.items():
        writer.tree(paths[name], "events", EVENTS, 1, compression)
    writer.ntuple(paths["rntuple"], "events", EVENTS, 1)
    return paths


@pytest.fixture(scope="session")
def parts(writer, tmp_path_factory) -> list[str]:
    """Files of 400, 1 and 3000 events with the tree "events"; beside them friend0.root, … with "extra"."""
    folder: Path = tmp_path_factory.mktemp("parts")
    paths = []
    for i, events in enumerate((400, 1, 3000)):
        writer.tree(str(folder / f"part{i}.root"), "events", events, 10 + i, 101)
        writer.tree(str(folder / f"friend{i}.root"), "extra", events, 20 + i, 101)
        paths.append(str(folder / f"part{i}.root"))
    return paths

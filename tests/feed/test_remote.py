"""Files that are read through TFile, as those behind a server: few requests, the same values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import uproot

from hepml_root.data.feed_library import HEADERS, import_root

# A file in memory stands for one behind a server: neither has a descriptor, both are read by ranges.
_REMOTE = """
#include "hepml_root/feed/tree.hxx"
#include <TMemFile.h>
namespace hepml_root_tests {
int requests = 0;
struct RemoteFile : TMemFile {
   using TMemFile::TMemFile;
   Bool_t ReadBuffers(char *buffer, Long64_t *positions, Int_t *sizes, Int_t count) override {
      ++requests;
      return TMemFile::ReadBuffers(buffer, positions, sizes, count);
   }
};
using namespace hepml_root::feed;
std::vector<float> read_remote(const std::string &content, std::size_t first, std::size_t last, bool cut) {
   requests = 0;
   TMemFile::ZeroCopyView_t view(content.data(), content.size());
   auto file = std::make_unique<RemoteFile>("remote.root", view);
   const ColumnPlace places[] = {{"f", "f", 0}, {"d", "d", 0}, {"o", "o", 0}, {"array", "array", 1}};
   auto table = std::make_shared<TreeTable>(std::move(file), "events", places, 4);
   Program program;
   program.matrix = {0, 1, 3};
   program.cut = cut ? 2 : -1;
   Filler filler(table, program);
   std::vector<float> rows(3 * (last - first));
   rows.resize(3 * filler.fill(first, last, last - first, {rows.data(), nullptr, nullptr, nullptr}));
   return rows;
}
}
"""


@pytest.fixture(scope="module")
def remote():
    ROOT = import_root()
    ROOT.gInterpreter.AddIncludePath(str(HEADERS))
    assert ROOT.gInterpreter.Declare(_REMOTE)
    return ROOT.hepml_root_tests


@pytest.mark.parametrize("form", ["zlib", "uncompressed"])
@pytest.mark.parametrize("cut", [False, True])
def test_baskets_come_with_few_requests(remote, mixed, form, cut):
    with uproot.open(mixed[form]) as file:
        tree = file["events"]
        e = tree.arrays(["f", "d", "o", "array"], library="np")
        baskets = sum(tree[name].num_baskets for name in ("f", "d", "o", "array"))
    expected = np.stack([e["f"], e["d"], e["array"][:, 1]], 1).astype(np.float32)
    content = Path(mixed[form]).read_bytes()
    for first, last in ((0, 5000), (1234, 4321)):
        got = np.asarray(remote.read_remote(content, first, last, cut)).reshape(-1, 3)
        chosen = slice(first, last)
        assert np.array_equal(got, expected[chosen][e["o"][chosen]] if cut else expected[chosen])
        assert remote.requests < 3 < baskets

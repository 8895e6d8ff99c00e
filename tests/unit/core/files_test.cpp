#include "core/files.h"

#include <fstream>

#include "core/error.h"
#include "tests/support/test_support.h"

namespace epvs::core {
namespace {

namespace fs = std::filesystem;
using tests::expect_error;
using tests::TemporaryFolder;

std::size_t count_files(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator{}));
}

TEST(AtomicFile, UncommittedLeavesTheOldFileAndNoTemporary) {
  const TemporaryFolder folder;
  write_text(folder / "a.txt", "old");
  {
    AtomicFile file(folder / "a.txt");
    std::ofstream(file.temporary()) << "half";
    EXPECT_EQ(file.temporary().extension(), ".txt");
  }
  EXPECT_EQ(read_text(folder / "a.txt"), "old");
  EXPECT_EQ(count_files(folder.path()), 1U);
}

TEST(AtomicFile, CommitReplacesAndCreatesParents) {
  const TemporaryFolder folder;
  write_text(folder / "deep/er/a.txt", "1");
  write_text(folder / "deep/er/a.txt", "2");
  EXPECT_EQ(read_text(folder / "deep/er/a.txt"), "2");
  EXPECT_EQ(count_files(folder / "deep/er"), 1U);
}

TEST(AtomicFile, FolderThatCannotBeWrittenIsNamed) {
  const TemporaryFolder folder;
  write_text(folder / "file", "x");
  expect_error<RunError>([&] { write_text(folder / "file/inside.txt", "y"); },
                         {"cannot write", "file"});
}

TEST(Files, TooLittleSpaceIsARunErrorWithAHint) {
  const TemporaryFolder folder;
  expect_error<RunError>([&] { require_free_space(folder / "x", ~std::uintmax_t{0} / 2); },
                         {"needs", "are free", "write elsewhere"});
  EXPECT_NO_THROW(require_free_space(folder / "x", 1));
}

TEST(Files, MissingFileNamesTheNearestFolderThatExists) {
  const TemporaryFolder folder;
  expect_error<InputError>([&] { read_text(folder / "no/such/file"); },
                           {"does not exist", folder.path().string()});
  expect_error<InputError>([&] { read_text(folder.path()); }, {"is a folder"});
}

TEST(Files, ExistingOutputIsRefusedUnlessForced) {
  const TemporaryFolder folder;
  write_text(folder / "a", "x");
  expect_error<UsageError>([&] { refuse_existing(folder / "a", false); },
                           {"exists already", "--force"});
  EXPECT_NO_THROW(refuse_existing(folder / "a", true));
  EXPECT_NO_THROW(refuse_existing(folder / "b", false));
}

}  // namespace
}  // namespace epvs::core

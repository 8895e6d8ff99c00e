#include "core/hash.h"

#include "core/error.h"
#include "core/files.h"
#include "tests/support/test_support.h"

namespace epvs::core {
namespace {

// FIPS 180-2, appendix B.
TEST(Sha256, PublishedExamples) {
  EXPECT_EQ(sha256_text("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_text(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, FileEqualsText) {
  const tests::TemporaryFolder folder;
  const std::string text(3000000, 'x');
  write_text(folder / "a", text);
  EXPECT_EQ(sha256_file(folder / "a"), sha256_text(text));
  tests::expect_error<InputError>([&] { sha256_file(folder / "b"); }, {"does not exist"});
}

}  // namespace
}  // namespace epvs::core

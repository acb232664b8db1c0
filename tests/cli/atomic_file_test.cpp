#include "apps/common/atomic_file.hpp"

#include <gmock/gmock.h>

#include "tests/cli/temporary_folder.hpp"

namespace flash_kda::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(AtomicFile, AppearsOnCommitOnly) {
  const TemporaryFolder folder;
  Result<AtomicFile> file = AtomicFile::create(folder.file("a"));
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_TRUE(file->write("text").ok());
  EXPECT_FALSE(std::filesystem::exists(folder.file("a")));
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(read_all(folder.file("a")), "text");
  EXPECT_THAT(folder.names(), ElementsAre("a"));
}

TEST(AtomicFile, WithoutCommitNothingIsLeftAndTheOldFileStays) {
  const TemporaryFolder folder;
  write_all(folder.file("a"), "old");
  {
    Result<AtomicFile> file = AtomicFile::create(folder.file("a"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("new").ok());
  }
  EXPECT_EQ(read_all(folder.file("a")), "old");
  EXPECT_THAT(folder.names(), ElementsAre("a"));
}

TEST(AtomicFile, WritesThroughASymbolicLink) {
  const TemporaryFolder folder;
  write_all(folder.file("target"), "old");
  std::filesystem::create_symlink(folder.file("target"), folder.file("link"));
  ASSERT_TRUE(write_text_file(folder.file("link"), "new").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("link")));
  EXPECT_EQ(read_all(folder.file("target")), "new");
}

TEST(AtomicFile, RefusesWhatIsNoRegularFile) {
  const TemporaryFolder folder;
  EXPECT_THAT(write_text_file("/dev/full", "x").message(), HasSubstr("not a regular file"));
  EXPECT_THAT(write_text_file(folder.file("."), "x").message(), HasSubstr("not a regular file"));
  EXPECT_THAT(write_text_file(folder.file("no/such/folder"), "x").message(), HasSubstr("cannot"));
  EXPECT_THAT(write_text_file("", "x").message(), HasSubstr("empty"));
  EXPECT_THAT(folder.names(), IsEmpty());
}

}  // namespace
}  // namespace flash_kda::apps

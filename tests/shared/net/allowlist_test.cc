#include "shared/net/allowlist.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "shared/net/allow_file.h"
#include "shared/net/keys.h"
#include "shared/net/zap.h"
#include "tests/support/temp_dir.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kAnn = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
const std::string kBob = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";

TEST(AllowlistTest, HasALineForEachKey) {
  const auto list = Allowlist::parse("# those who may\n\nclient " + kAnn + " ann of the north\n  worker\t" +
                                     kBob + "   host7  \r\n#admin " + kBob + " off\n");
  ASSERT_TRUE(list) << list.error().text;
  EXPECT_EQ(list->size(), 2u);
  ASSERT_NE(list->find(kAnn), nullptr);
  EXPECT_EQ(*list->find(kAnn), (PeerName{Role::kClient, "ann of the north"}));
  EXPECT_EQ(*list->find(kBob), (PeerName{Role::kWorker, "host7"}));
  EXPECT_EQ(list->find("somebody"), nullptr);
  EXPECT_EQ(list->find(""), nullptr);
}

TEST(AllowlistTest, ReadsTheLineThatItWrites) {
  const PeerName peer{Role::kAdmin, "ops"};
  const auto list = Allowlist::parse(allow_line(peer, kAnn) + "\n");
  ASSERT_TRUE(list);
  EXPECT_EQ(*list->find(kAnn), peer);
}

// The key of "w" speaks for "w-2", too: a key of that name would be taken for the same worker.
TEST(AllowlistTest, KeepsWorkersApart) {
  const auto parse = [](const std::string& one, const std::string& other) {
    return Allowlist::parse("# those who may\n" + one.substr(0, 7) + kAnn + one.substr(6) + "\n" +
                            other.substr(0, 7) + kBob + other.substr(6) + "\n");
  };
  for (const auto& [one, other] : {std::pair("worker w", "worker w-2"), {"worker w.a", "worker w"}}) {
    const auto list = parse(one, other);
    ASSERT_FALSE(list) << one;
    EXPECT_THAT(list.error().text, HasSubstr("line 3: expected workers none of which may speak for another"));
  }
  EXPECT_THAT(parse("worker w-2", "worker w").error().text,
              HasSubstr("found 'w' (line 3), whose key speaks for 'w-2' (line 2), too"));
  EXPECT_TRUE(parse("worker w", "worker w")) << "an old key and a new one";
  EXPECT_TRUE(parse("worker w", "worker w2"));
  EXPECT_TRUE(parse("client w", "worker w-2")) << "a client speaks for itself alone";
  EXPECT_TRUE(parse("worker w-1", "worker w-2"));
}

TEST(AllowlistTest, OfCommentsAllowsNobody) {
  const auto list = Allowlist::parse("# nobody yet\n");
  ASSERT_TRUE(list);
  EXPECT_EQ(list->size(), 0u);
}

TEST(AllowlistTest, SaysWhichLineIsWrong) {
  const std::string good = "client " + kAnn + " ann\n";
  const struct {
    std::string text;
    const char* expected;
  } cases[] = {
      {"", "found an empty file"},
      {good + "worker", "line 2: expected a line that ends"},
      {good + "client " + kBob + " bo", "line 2: expected a line that ends"},
      {"\nroot " + kAnn + " ann\n", "line 2: expected a role (client, worker or admin), found 'root'"},
      {kAnn + " client ann\n", "line 1: expected a role"},
      {"client\n", "line 1: expected a public key of 40 characters after the role, found 0"},
      {"client ann " + kAnn + "\n", "line 1: expected a public key of 40 characters after the role, found 3"},
      {"client " + kAnn + "\n", "line 1: expected a name of 1 to 128 bytes"},
      {"client " + kAnn + " a/b\n", "line 1: expected a name"},
      {"client " + kAnn + " a\tb\n", "line 1: expected a name"},
      {"client " + kAnn + " \xff\n", "line 1: expected a name"},
      {"client " + kAnn + " " + std::string(129, 'n') + "\n", "line 1: expected a name"},
      {good + "# again\nworker " + kAnn + " ann\n",
       "line 3: expected each key once, found that of line 1 again"},
  };
  for (const auto& one : cases) {
    const auto list = Allowlist::parse(one.text);
    ASSERT_FALSE(list) << one.text;
    EXPECT_EQ(list.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(list.error().text, HasSubstr(one.expected));
    // Somebody may have put a secret key there.
    EXPECT_THAT(list.error().text, Not(HasSubstr(kAnn.substr(0, 8)))) << one.expected;
  }
}

class AllowFileTest : public ::testing::Test {
 protected:
  void write(const std::string& text) {
    // As editors do: another file under the same name.
    const std::string beside = path_ + ".new";
    std::ofstream(beside, std::ios::binary) << text;
    std::filesystem::rename(beside, path_);
  }

  const testing::TempDir folder_;
  const std::string path_ = folder_ / "allow";
};

TEST_F(AllowFileTest, IsReadAgainWhenItChanges) {
  write("client " + kAnn + " ann\n");
  auto file = AllowFile::open(path_);
  ASSERT_TRUE(file) << file.error().text;
  const auto before = (*file)->current();
  EXPECT_FALSE((*file)->look());
  EXPECT_EQ((*file)->current(), before);

  write("client " + kBob + " bob\n");
  EXPECT_TRUE((*file)->look());
  EXPECT_EQ((*file)->current()->find(kAnn), nullptr);
  EXPECT_NE((*file)->current()->find(kBob), nullptr);
  EXPECT_NE(before->find(kAnn), nullptr) << "who holds the old list keeps it";
  EXPECT_FALSE((*file)->look());

  std::ofstream(path_, std::ios::app) << "client " << kAnn << " ann\n";
  EXPECT_TRUE((*file)->look()) << "written to in place";
  EXPECT_EQ((*file)->current()->size(), 2u);
}

// A slip in an editor must neither lock everybody out nor let anybody in.
TEST_F(AllowFileTest, ThatIsBrokenChangesNothingUntilItIsMended) {
  write("client " + kAnn + " ann\n");
  auto file = AllowFile::open(path_);
  ASSERT_TRUE(file);
  for (const std::string broken : {"", "client", "client ann\n", "\xff\xfe\n"}) {
    write("client " + kBob + " bob\n" + broken + "x");
    EXPECT_FALSE((*file)->look());
    EXPECT_NE((*file)->current()->find(kAnn), nullptr);
    EXPECT_EQ((*file)->current()->find(kBob), nullptr);
  }
  write("");
  EXPECT_FALSE((*file)->look()) << "just about to be written";
  std::filesystem::remove(path_);
  EXPECT_FALSE((*file)->look());
  EXPECT_EQ((*file)->current()->size(), 1u);

  write("client " + kBob + " bob\n");
  EXPECT_TRUE((*file)->look());
  EXPECT_NE((*file)->current()->find(kBob), nullptr);
}

TEST_F(AllowFileTest, IsNoneThatEverybodyMayWriteTo) {
  write("client " + kAnn + " ann\n");
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  const auto file = AllowFile::open(path_);
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().text, HasSubstr("chmod o-w " + path_));
  EXPECT_EQ(AllowFile::open(folder_ / "none").error().code, ErrorCode::kNotFound);
}

// Forgetting it would keep a key that was taken from the list.
TEST_F(AllowFileTest, ThatCouldNotBeOpenedIsReadTheNextTime) {
  write("client " + kAnn + " ann\n");
  auto file = AllowFile::open(path_);
  ASSERT_TRUE(file);
  write("client " + kBob + " bob\n");

  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int first_free = ::dup(STDERR_FILENO);
  ::close(first_free);
  const rlimit none_left{static_cast<rlim_t>(first_free), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none_left), 0);
  const bool is_new = (*file)->look() || (*file)->look();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);

  EXPECT_FALSE(is_new);
  EXPECT_NE((*file)->current()->find(kAnn), nullptr);
  EXPECT_TRUE((*file)->look());
  EXPECT_EQ((*file)->current()->find(kAnn), nullptr);
}

TEST_F(AllowFileTest, IsNoFifoOrDevice) {
  write("client " + kAnn + " ann\n");
  auto file = AllowFile::open(path_);
  ASSERT_TRUE(file);
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE((*file)->look()) << "and does not wait for a writer";
  EXPECT_NE((*file)->current()->find(kAnn), nullptr);
  for (const std::string& other : {path_, std::string("/dev/zero"), std::string(folder_ / "")}) {
    const auto opened = AllowFile::open(other);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(opened.error().text, HasSubstr("expected a file"));
  }
}

std::vector<std::string> zap_request(const std::string& key_bytes) {
  return {"1.0", "id-7", kZapDomain, "10.0.0.9", "", "CURVE", key_bytes};
}

TEST(Zap, LetsTheKeysOfTheListInAndNamesThem) {
  // The client's key in the manual of ZeroMQ's CURVE.
  const unsigned char bytes[] = {0xBB, 0x88, 0x47, 0x1D, 0x65, 0xE2, 0x65, 0x9B, 0x30, 0xC5, 0x5A,
                                 0x53, 0x21, 0xCE, 0xBB, 0x5A, 0xAB, 0x2B, 0x70, 0xA3, 0x98, 0x64,
                                 0x5C, 0x26, 0xDC, 0xA2, 0xB2, 0xFC, 0xB4, 0x3F, 0xC5, 0x18};
  const std::string key(reinterpret_cast<const char*>(bytes), sizeof bytes);
  const auto with_bob = Allowlist::parse("client " + kBob + " bob\n");
  EXPECT_THAT(answer_zap(zap_request(key), *with_bob).frames,
              ElementsAre("1.0", "id-7", "200", "OK", kBob, ""));

  const auto without = Allowlist::parse("client " + kAnn + " ann\n");
  const ZapAnswer refused = answer_zap(zap_request(key), *without);
  EXPECT_THAT(refused.frames, ElementsAre("1.0", "id-7", "400", "key not in the allow file", "", ""));
  EXPECT_EQ(refused.address, "10.0.0.9");
}

TEST(Zap, LetsNobodyInByAnotherWay) {
  const auto list = Allowlist::parse("client " + kBob + " bob\n");
  const auto status = [&](std::vector<std::string> request) {
    return answer_zap(request, *list).frames.at(2);
  };
  std::vector<std::string> plain = {"1.0", "1", kZapDomain, "", "", "PLAIN", "bob", "password"};
  std::vector<std::string> null = {"1.0", "1", kZapDomain, "", "", "NULL"};
  EXPECT_EQ(status(plain), "400");
  EXPECT_EQ(status(null), "400");
  EXPECT_EQ(status(zap_request("")), "400");
  EXPECT_EQ(status(zap_request(std::string(33, 'k'))), "400");
  auto elsewhere = zap_request(std::string(32, 'k'));
  elsewhere[2] = "other";
  EXPECT_EQ(status(elsewhere), "400");
  EXPECT_EQ(status({}), "500");
  EXPECT_EQ(status({"2.0", "1", kZapDomain, "", "", "CURVE", std::string(32, 'k')}), "500");
}

}  // namespace
}  // namespace tandem

#include "shared/net/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "shared/base/file.h"
#include "tests/support/temp_dir.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

KeyPair made(const std::string& name) {
  auto pair = make_key_pair(name);
  EXPECT_TRUE(pair) << pair.error().text;
  return pair.value_or(KeyPair{});
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, what.size(), by);
}

TEST(Keys, AreMadeInPairsThatDifferEveryTime) {
  const KeyPair ann = made("ann"), again = made("ann");
  EXPECT_EQ(ann.name, "ann");
  EXPECT_TRUE(is_key(ann.public_key));
  EXPECT_TRUE(is_key(ann.secret_key.reveal()));
  EXPECT_NE(ann.public_key, again.public_key);
  EXPECT_NE(ann.public_key, ann.secret_key.reveal());
}

TEST(Keys, AreFortyCharactersOfZ85) {
  EXPECT_TRUE(is_key("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"));
  EXPECT_FALSE(is_key(""));
  EXPECT_FALSE(is_key(std::string(39, '1')));
  EXPECT_FALSE(is_key(std::string(41, '1')));
  EXPECT_FALSE(is_key(std::string(40, '#'))) << "five of the last letter are more than 32 bits";
  EXPECT_FALSE(is_key(std::string(39, '1') + " "));
  EXPECT_FALSE(is_key(std::string(39, '1') + '\0'));
  EXPECT_FALSE(is_key(std::string(39, '1') + '\xff'));
}

TEST(Keys, ArePassedOnInFilesForTheirOwnerOnly) {
  const testing::TempDir folder;
  const KeyPair ann = made("ann of the north");
  const std::string path = folder / "ann.key";
  ASSERT_TRUE(save_key_pair(path, ann));
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);

  const auto loaded = load_key_pair(path);
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_EQ(loaded->name, ann.name);
  EXPECT_EQ(loaded->public_key, ann.public_key);
  EXPECT_EQ(loaded->secret_key.reveal(), ann.secret_key.reveal());
}

// A key that is overwritten is gone, and everything that knows its public half with it.
TEST(Keys, AreNeverOverwritten) {
  const testing::TempDir folder;
  const std::string path = folder / "ann.key";
  ASSERT_TRUE(save_key_pair(path, made("ann")));
  const std::string before = *read_file(path, 10'000);
  const auto second = save_key_pair(path, made("ann"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kExists);
  EXPECT_EQ(*read_file(path, 10'000), before);
}

TEST(Keys, ThatOthersCanReadAreRefused) {
  const testing::TempDir folder;
  const std::string path = folder / "ann.key";
  ASSERT_TRUE(save_key_pair(path, made("ann")));
  for (const auto& [mode, shown] :
       {std::pair{0640, "0640"}, {0604, "0604"}, {0620, "0620"}, {0666, "0666"}}) {
    ASSERT_EQ(::chmod(path.c_str(), static_cast<mode_t>(mode)), 0);
    const auto loaded = load_key_pair(path);
    ASSERT_FALSE(loaded) << shown;
    EXPECT_THAT(loaded.error().text, HasSubstr(shown));
    EXPECT_THAT(loaded.error().text, HasSubstr("chmod 600 " + path));
  }
  ASSERT_EQ(::chmod(path.c_str(), 0400), 0);
  EXPECT_TRUE(load_key_pair(path));
}

TEST(Keys, SayWhatIsWrongWithTheirFileAndNeverTheSecret) {
  const KeyPair ann = made("ann"), bob = made("bob");
  const std::string good = secret_key_text(ann);
  ASSERT_TRUE(parse_key_pair(good));
  const std::string secret = ann.secret_key.reveal();
  const struct {
    std::string text;
    const char* expected;
  } cases[] = {
      {"", "expected a line 'name NAME', found none"},
      {"# nothing\n", "expected a line 'name NAME', found none"},
      {replaced(good, "name ann\n", ""), "expected a line 'name NAME', found none"},
      {replaced(good, "name ann", "name a/b"), "name: expected a name of 1 to 128 bytes"},
      {replaced(good, "secret_key", "secret_kex"), "line 4: expected name, public_key or secret_key"},
      {replaced(good, "secret_key ", ""), "line 4: expected name, public_key or secret_key"},
      {replaced(good, secret, secret.substr(1)), "secret_key: expected 40 characters of Z85, found 39"},
      {replaced(good, secret, bob.secret_key.reveal()), "expected a secret_key that belongs to public_key"},
      {replaced(good, ann.public_key, secret), "found another"},
      {good + "name bob\n", "line 5: expected 'name' once"},
      {public_key_text(ann), "expected a line 'secret_key KEY', found none"},
  };
  for (const auto& one : cases) {
    const auto parsed = parse_key_pair(one.text);
    ASSERT_FALSE(parsed) << one.expected;
    EXPECT_THAT(parsed.error().text, HasSubstr(one.expected));
    if (one.text.find(ann.public_key) != std::string::npos) {
      EXPECT_THAT(parsed.error().text, Not(HasSubstr(secret.substr(1, 12))));
    }
  }
}

TEST(Keys, OfABrokerAreGivenAsThemselvesOrAsAFile) {
  const testing::TempDir folder;
  const KeyPair broker = made("broker");
  EXPECT_EQ(*load_public_key(broker.public_key), broker.public_key);

  const std::string file = folder / "broker.pub";
  std::ofstream(file) << public_key_text(broker);
  EXPECT_EQ(*load_public_key(file), broker.public_key);

  for (const std::string bad : {"", "nowhere.pub", "tcp://broker:5555"}) {
    const auto none = load_public_key(bad);
    ASSERT_FALSE(none) << bad;
    EXPECT_THAT(none.error().text, HasSubstr("expected a public key of 40 characters or the path"));
  }
}

// The broker's secret has no business on the machine of a client.
TEST(Keys, OfABrokerAreNotTakenFromItsSecretFile) {
  const testing::TempDir folder;
  ASSERT_TRUE(save_key_pair(folder / "broker.key", made("broker")));
  const auto taken = load_public_key(folder / "broker.key");
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().text, HasSubstr("found a secret key file"));
}

TEST(Keys, OfAClientAreTwoSettingsOrNone) {
  const testing::TempDir folder;
  ASSERT_TRUE(save_key_pair(folder / "ann.key", made("ann")));
  const KeyPair broker = made("broker");
  EXPECT_FALSE(load_client_keys("", "")->has_value());
  EXPECT_EQ((*load_client_keys(folder / "ann.key", broker.public_key))->own.name, "ann");
  std::ofstream(folder / "broker.pub") << public_key_text(broker);
  EXPECT_EQ((*load_client_keys(folder / "ann.key", "broker.pub"))->server_key, broker.public_key)
      << "looked for beside the key file";
  EXPECT_THAT(load_client_keys(folder / "ann.key", "").error().text,
              HasSubstr("security.server_key: expected"));
  EXPECT_THAT(load_client_keys("", broker.public_key).error().text, HasSubstr("security.key_file: expected"));
  EXPECT_THAT(load_client_keys(folder / "none.key", broker.public_key).error().text,
              HasSubstr("security.key_file: " + (folder / "none.key").string()));
}

}  // namespace
}  // namespace tandem

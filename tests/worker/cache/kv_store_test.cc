// Blocks of keys and values on disk: found for the same beginning of the same model, and for nothing else.

#include "worker/cache/kv_store.h"

#include "shared/base/file.h"
#include "tests/worker/cache/kv_support.h"

namespace tandem {
namespace {

using namespace tandem::testing;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using KvStoreTest = KvStoreFixture;

TEST_F(KvStoreTest, KnowsNothingAtFirst) {
  const KvStore store = open();
  EXPECT_EQ(found(store, numbers(0, 100)), 0u);
  EXPECT_EQ(store.totals()->blocks, 0u);
  EXPECT_EQ(store.note(), "");
}

TEST_F(KvStoreTest, GivesBackWhatWasStoredAlsoToTheNextProcess) {
  const Tokens text = numbers(0, 100);
  {
    KvStore before = open();
    store(before, text);
    EXPECT_EQ(found(before, text), 100u);
  }
  const KvStore after = open();
  EXPECT_EQ(found(after, text), 100u);
  EXPECT_EQ(after.totals()->blocks, 4u);
}

TEST_F(KvStoreTest, FindsABlockOnlyBehindTheSameBeginning) {
  KvStore kv = open();
  store(kv, numbers(0, 96));
  Tokens other = numbers(0, 96);
  other[3] = 999;
  EXPECT_EQ(found(kv, other), 0u) << "the second and third blocks have the same tokens, and are others";
  other = numbers(0, 96);
  other[70] = 999;
  EXPECT_EQ(found(kv, other), 64u);
}

// The end of a conversation's last turn is followed by what the user says next.
TEST_F(KvStoreTest, FindsTheEndOfATextThatGoesOn) {
  KvStore kv = open();
  store(kv, numbers(0, 75));
  EXPECT_EQ(found(kv, numbers(0, 200)), 75u);
  Tokens other = numbers(0, 200);
  other[70] = 999;
  EXPECT_EQ(found(kv, other), 70u) << "its first tokens are worth something";
  EXPECT_EQ(found(kv, numbers(0, 66)), 66u);
}

TEST_F(KvStoreTest, ChoosesTheEndThatIsMostLikeTheText) {
  KvStore kv = open();
  for (const size_t n_alike : {36, 50, 41}) {
    Tokens text = numbers(0, 60);
    for (size_t i = n_alike; i < text.size(); ++i) text[i] = static_cast<TokenId>(1000 + n_alike);
    store(kv, text);
  }
  EXPECT_EQ(found(kv, numbers(0, 60)), 50u);
}

TEST_F(KvStoreTest, LeavesWhatIsKnownAsWellElsewhere) {
  KvStore kv = open();
  store(kv, numbers(0, 50));
  std::vector<std::byte> content(kContentBytes);
  EXPECT_EQ(kv.find(numbers(0, 60), 32, 50, content)->n_tokens, 0u);
  EXPECT_EQ(kv.find(numbers(0, 60), 32, 49, content)->n_tokens, 18u);
}

// Short templates all stand behind the empty beginning. Each is asked for by its whole text when a worker
// starts.
TEST_F(KvStoreTest, FindsAWholeShortTextAmongManyOthers) {
  KvStore kv = open();
  for (int i = 0; i < 100; ++i) store(kv, numbers(i * 1000, 20));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(found(kv, numbers(i * 1000, 20)), 20u) << i;
}

TEST_F(KvStoreTest, TellsModelsApart) {
  {
    KvStore mine = open();
    store(mine, numbers(0, 70));
  }
  const KvIdentity first = options_.identity;
  options_.identity = hash128("another model, or the same in another type");
  {
    KvStore other = open();
    EXPECT_EQ(found(other, numbers(0, 70)), 0u);
    store(other, numbers(0, 70));
    EXPECT_EQ(found(other, numbers(0, 70)), 70u);
  }
  options_.identity = first;
  const KvStore again = open();
  EXPECT_EQ(found(again, numbers(0, 70)), 70u) << "they lie side by side";
  EXPECT_EQ(again.totals()->blocks, 6u);
}

TEST_F(KvStoreTest, EmptiesAFolderOfAnotherFormatAndSaysSo) {
  {
    KvStore kv = open();
    store(kv, numbers(0, 64));
  }
  {
    auto environment = Environment::open(options_.folder, {.durable = false, .exclusive = false});
    ASSERT_TRUE(environment);
    auto meta = environment->table("meta");
    auto transaction = environment->write();
    ASSERT_TRUE(meta->put(*transaction, "format", "tandem kv 0"));
    ASSERT_TRUE(transaction->commit());
  }
  KvStore kv = open();
  EXPECT_THAT(kv.note(), HasSubstr("tandem kv 0"));
  EXPECT_EQ(found(kv, numbers(0, 64)), 0u);
  store(kv, numbers(0, 64));
  EXPECT_EQ(found(kv, numbers(0, 64)), 64u);
}

TEST_F(KvStoreTest, StaysBelowItsLimitByForgettingWhatWasUsedLongestAgo) {
  options_.bytes_max = 1u << 20;
  KvStore kv = open();
  const Tokens often = numbers(500'000, 64);
  store(kv, often);
  for (int i = 0; i < 300; ++i) {
    store(kv, numbers(i * 100, 64));
    std::vector<KvChange> uses;
    for (KvChange& block : blocks_of(often)) uses.push_back({KvChange::Kind::kUse, block.key});
    ASSERT_TRUE(kv.apply(uses));
    ASSERT_LE(kv.totals()->bytes, options_.bytes_max);
  }
  EXPECT_EQ(found(kv, often), 64u);
  EXPECT_EQ(found(kv, numbers(299 * 100, 64)), 64u);
  EXPECT_EQ(found(kv, numbers(0, 64)), 0u);
  EXPECT_EQ(kv.counts().stored, 602u);
  EXPECT_EQ(kv.counts().evicted, 602u - kv.totals()->blocks);
  EXPECT_GT(kv.totals()->bytes, options_.bytes_max * 9 / 10) << "the room is used";
}

// What the totals say is what the file's pages say.
TEST_F(KvStoreTest, CountsTheBytesThatItTakes) {
  options_.bytes_max = 4u << 20;
  {
    KvStore kv = open();
    for (int i = 0; i < 800; ++i) store(kv, numbers(i * 200, static_cast<size_t>(20 + i % 150)));
    EXPECT_LE(kv.totals()->bytes, options_.bytes_max);
  }
  const auto environment = Environment::open(options_.folder, {.durable = false, .exclusive = false});
  ASSERT_TRUE(environment);
  const uint64_t used = environment->usage()->used_bytes;
  EXPECT_LE(used, options_.bytes_max * 102 / 100);
  EXPECT_GE(used, options_.bytes_max * 3 / 4);
}

TEST_F(KvStoreTest, DoesNotStoreABlockAboveItsLimit) {
  options_.bytes_max = 5000;
  options_.map_bytes = 1u << 20;
  KvStore kv = open();
  store(kv, numbers(0, 32));
  EXPECT_EQ(kv.totals()->blocks, 0u);
}

// The limit says there is room, the file says there is none.
TEST_F(KvStoreTest, MakesRoomWhenTheFileIsFull) {
  options_.map_bytes = 1u << 20;
  KvStore kv = open();
  for (int i = 0; i < 500; ++i) {
    store(kv, numbers(i * 100, 64));
    ASSERT_EQ(found(kv, numbers(i * 100, 64)), 64u) << i;
  }
  EXPECT_GT(kv.counts().evicted, 0u);
}

TEST_F(KvStoreTest, DoesNotWriteAgainWhatIsThere) {
  KvStore kv = open();
  store(kv, numbers(0, 64));
  store(kv, numbers(0, 64));
  EXPECT_EQ(kv.counts().stored, 2u);
  EXPECT_EQ(kv.totals()->blocks, 2u);
}

TEST_F(KvStoreTest, ForgetsEverythingWhenTold) {
  KvStore kv = open();
  store(kv, numbers(0, 64));
  ASSERT_TRUE(kv.clear());
  EXPECT_EQ(found(kv, numbers(0, 64)), 0u);
  EXPECT_EQ(kv.totals()->bytes, 0u);
  store(kv, numbers(0, 64));
  EXPECT_EQ(found(kv, numbers(0, 64)), 64u);
}

// ---- damage ----------------------------------------------------------------------------------------------

class DamagedKvStoreTest : public KvStoreFixture {
 protected:
  // Changes records as no writer of ours would.
  template <typename Change>
  void change_record(const std::string& key, const Change& change) {
    auto environment = Environment::open(options_.folder, {.durable = false, .exclusive = false});
    ASSERT_TRUE(environment);
    auto blocks = environment->table("blocks");
    auto transaction = environment->write();
    std::string record(blocks->get(*transaction, key)->value());
    change(record);
    ASSERT_TRUE(blocks->put(*transaction, key, record));
    ASSERT_TRUE(transaction->commit());
  }
  std::string key_of(const Tokens& text) const { return kv_key(options_.identity, text); }
};

TEST_F(DamagedKvStoreTest, MissesADamagedBlockAndRemovesIt) {
  const Tokens text = numbers(0, 96);
  {
    KvStore kv = open();
    store(kv, text);
  }
  change_record(key_of(numbers(0, 64)), [](std::string& record) { record[5000] ^= 1; });
  KvStore kv = open();
  std::vector<std::string> damaged;
  EXPECT_EQ(found(kv, text, &damaged), 32u);
  ASSERT_THAT(damaged, SizeIs(1));
  ASSERT_TRUE(kv.apply({{KvChange::Kind::kRemoveIfBad, damaged[0]}}));
  EXPECT_EQ(kv.counts().removed, 1u);
  EXPECT_EQ(kv.totals()->blocks, 2u);
  store(kv, text);
  EXPECT_EQ(found(kv, text), 96u) << "stored anew";
}

TEST_F(DamagedKvStoreTest, KeepsABlockThatAnotherProcessHasMendedMeanwhile) {
  KvStore kv = open();
  store(kv, numbers(0, 40));
  ASSERT_TRUE(kv.apply({{KvChange::Kind::kRemoveIfBad, key_of(numbers(0, 32))},
                        {KvChange::Kind::kRemoveIfBad, key_of(numbers(0, 40))}}));
  EXPECT_EQ(kv.counts().removed, 0u);
  EXPECT_EQ(found(kv, numbers(0, 40)), 40u);
}

// A whole, sealed record of another text under this text's name.
TEST_F(DamagedKvStoreTest, MissesABlockOfAnotherText) {
  {
    KvStore kv = open();
    store(kv, numbers(0, 32));
    store(kv, numbers(700, 32));
  }
  std::string other;
  change_record(key_of(numbers(700, 32)), [&](std::string& record) { other = record; });
  change_record(key_of(numbers(0, 32)), [&](std::string& record) { record = other; });
  KvStore kv = open();
  std::vector<std::string> damaged;
  EXPECT_EQ(found(kv, numbers(0, 32), &damaged), 0u);
  ASSERT_THAT(damaged, SizeIs(1));
  ASSERT_TRUE(kv.apply({{KvChange::Kind::kRemoveIfBad, damaged[0]}}));
  EXPECT_EQ(kv.counts().removed, 1u);
}

// found() compares every block's content with what belongs to its text.
TEST_F(DamagedKvStoreTest, NeverGivesADamagedBlockInAThousand) {
  constexpr uint64_t kSeed = 20'261'122;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  constexpr size_t kTexts = 250;
  std::vector<Tokens> texts;
  {
    KvStore kv = open();
    for (size_t i = 0; i < kTexts; ++i) {
      texts.push_back(numbers(static_cast<TokenId>(i * 1000), 96 + 1 + random() % 31));
      store(kv, texts.back());
    }
  }
  {
    auto environment = Environment::open(options_.folder, {.durable = false, .exclusive = false});
    ASSERT_TRUE(environment);
    auto blocks = environment->table("blocks");
    auto transaction = environment->write();
    for (const Tokens& text : texts) {
      for (size_t n = 32; n < text.size() + 32; n += 32) {
        const std::string key = key_of(Tokens(
            text.begin(), text.begin() + std::min<ptrdiff_t>(std::ssize(text), static_cast<ptrdiff_t>(n))));
        std::string record(blocks->get(*transaction, key)->value());
        const size_t at = random() % record.size();
        switch (random() % 6) {
          case 0:
            record[at] ^= static_cast<char>(1u << random() % 8);
            break;
          case 1:
            record.resize(at);
            break;
          case 2:
            record += std::string(1 + random() % 100, 'x');
            break;
          case 3:
            record[random() % 24] ^= static_cast<char>(1 + random() % 255);
            break;  // numbers
          case 4:
            record.replace(at, 100, std::string(std::min<size_t>(100, record.size() - at), '\1'));
            break;
          default:
            record = std::string(record.size(), '\0');
        }
        ASSERT_TRUE(blocks->put(*transaction, key, record));
      }
    }
    ASSERT_TRUE(transaction->commit());
  }
  KvStore kv = open();
  ASSERT_EQ(kv.totals()->blocks, 1000u);
  std::vector<std::byte> content(kContentBytes);
  for (const Tokens& text : texts) {
    for (size_t n = 0; n < text.size(); n += 32) {
      const auto found = kv.find(text, n, n, content);
      ASSERT_TRUE(found) << found.error().text;
      EXPECT_EQ(found->n_tokens, 0u);
      std::vector<KvChange> changes;
      for (const std::string& key : found->damaged) changes.push_back({KvChange::Kind::kRemoveIfBad, key});
      ASSERT_TRUE(kv.apply(changes));
    }
    store(kv, text);
    EXPECT_EQ(found(kv, text), text.size()) << "as good as new";
  }
  EXPECT_EQ(kv.counts().removed, 1000u);
}

}  // namespace
}  // namespace tandem

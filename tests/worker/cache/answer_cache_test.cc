#include "worker/cache/answer_cache.h"

#include <fstream>
#include <list>
#include <map>
#include <random>
#include <thread>

#include "shared/store/environment.h"
#include "tests/worker/cache/support.h"
#include "worker/cache/answer_codec.h"
#include "worker/cache/answer_record.h"
#include "worker/cache/answer_store.h"

namespace tandem {
namespace {

using namespace tandem::testing;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr auto kForEver = 0s;

class AnswerCacheTest : public ::testing::Test {
 protected:
  AnswerCacheTest() { options_.folder = folder_ / "cache"; }

  AnswerCache& cache() {
    if (!cache_) {
      auto opened = AnswerCache::open(options_, clock_);
      EXPECT_TRUE(opened) << opened.error().text;
      cache_ = std::move(*opened);
    }
    return *cache_;
  }
  void store(const std::string& name, const std::string& text, std::chrono::seconds ttl = kForEver) {
    const auto stored = cache().store(key_of(name), text_answer(text), ttl);
    EXPECT_TRUE(stored) << stored.error().text;
  }
  void flush() {
    const auto flushed = cache().settle();
    EXPECT_TRUE(flushed) << flushed.error().text;
  }
  // The text of the answer; "-" for a miss.
  std::string find(const std::string& name) {
    const auto found = cache().find(key_of(name));
    EXPECT_TRUE(found) << found.error().text;
    return found && *found ? (*found)->text->text : "-";
  }
  void reopen() { cache_.reset(); }

  static EnvironmentOptions shared() {
    EnvironmentOptions options;
    options.durable = false;
    options.exclusive = false;
    return options;
  }
  // Looks into the closed store, or damages it.
  template <typename Act>
  void in_the_store(const std::string& table_name, Act&& act) {
    reopen();
    auto environment = Environment::open(options_.folder, shared());
    ASSERT_TRUE(environment) << environment.error().text;
    auto table = environment->table(table_name);
    ASSERT_TRUE(table);
    auto transaction = environment->write();
    ASSERT_TRUE(transaction);
    act(*table, *transaction);
    ASSERT_TRUE(transaction->commit());
  }

  TempDir folder_;
  AnswerCacheOptions options_;
  ManualClock clock_;
  std::unique_ptr<AnswerCache> cache_;
};

TEST_F(AnswerCacheTest, FindsAtOnceWhatItStored) {
  EXPECT_EQ(find("a"), "-");
  store("a", "hello");
  EXPECT_EQ(find("a"), "hello");
  flush();
  EXPECT_EQ(find("a"), "hello");
  reopen();
  EXPECT_EQ(find("a"), "hello") << "and after a restart";
  EXPECT_EQ(find("b"), "-");
}

TEST_F(AnswerCacheTest, SaysThatAnAnswerIsAHitAndWhatItSaved) {
  store("a", "hello");
  const TaskResult hit = **cache().find(key_of("a"));
  TaskResult expected = text_answer("hello");
  expected.source = AnswerSource::kExact;
  expected.usage.cached_tokens = expected.usage.prompt_tokens;
  expected.usage.computed_tokens = 0;
  expected.timings = {};
  expected.batch_size = 0;
  EXPECT_EQ(hit, expected);
}

TEST_F(AnswerCacheTest, KeepsLabelsWithAllTheirScores) {
  TaskResult result = text_answer("");
  result.text.reset();
  result.label = LabelAnswer{"positive", "😄 正面", 0.75, 0.5, {{"positive", 0.75}, {"negative", 0.25}}, ""};
  ASSERT_TRUE(cache().store(key_of("a"), result, kForEver));
  flush();
  EXPECT_EQ((**cache().find(key_of("a"))).label, result.label);
}

TEST_F(AnswerCacheTest, HasAnEmptyAnswerForAHit) {
  store("a", "");
  flush();
  const auto found = cache().find(key_of("a"));
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->text->text, "");
}

TEST_F(AnswerCacheTest, PassesOverAnswersThatAreNotWorthKeeping) {
  TaskResult cut = text_answer("hello");
  cut.text->finish_reason = "length";
  ASSERT_TRUE(cache().store(key_of("a"), cut, kForEver));
  EXPECT_EQ(find("a"), "-");
  options_.answer_bytes_max = 500;
  reopen();
  store("small", std::string(200, 'x'));
  store("large", std::string(501, 'x'));
  EXPECT_NE(find("small"), "-");
  EXPECT_EQ(find("large"), "-");
}

TEST_F(AnswerCacheTest, TakesTheNewerOfTwoAnswers) {
  store("a", "old");
  flush();
  store("a", "new");
  EXPECT_EQ(find("a"), "new");
  flush();
  EXPECT_EQ(find("a"), "new");
  EXPECT_EQ(cache().stats().entries, 1u);
}

// ---- time ------------------------------------------------------------------------------------------------

// The age of an answer counts from when the model gave it: a popular wrong answer must not live for ever.
TEST_F(AnswerCacheTest, ForgetsAnAnswerAtItsTimeHoweverOftenItWasUsed) {
  store("a", "hello", 60s);
  flush();
  for (int i = 0; i < 59; ++i) {
    clock_.advance(1s);
    EXPECT_EQ(find("a"), "hello");
    flush();
  }
  clock_.advance(999ms);
  EXPECT_EQ(find("a"), "hello");
  clock_.advance(1ms);
  EXPECT_EQ(find("a"), "-");
  EXPECT_EQ(cache().stats().expired, 1u);
  flush();
  EXPECT_EQ(cache().stats().entries, 0u) << "and it takes no room any more";
}

TEST_F(AnswerCacheTest, ForgetsAnAnswerThatWaitsToBeWritten) {
  store("a", "hello", 60s);
  clock_.advance(60s);
  EXPECT_EQ(find("a"), "-");
}

TEST_F(AnswerCacheTest, KeepsAnAnswerWithoutATimeForEver) {
  store("a", "hello");
  flush();
  clock_.advance(std::chrono::hours(24 * 365 * 20));
  EXPECT_EQ(find("a"), "hello");
}

// Found expired and computed again before the removal is written: the new one stays.
TEST_F(AnswerCacheTest, KeepsTheNewAnswerOfAnExpiredOne) {
  store("a", "old", 60s);
  flush();
  clock_.advance(61s);
  EXPECT_EQ(find("a"), "-");
  store("a", "new", 60s);
  flush();
  EXPECT_EQ(find("a"), "new");
}

// ---- room ------------------------------------------------------------------------------------------------

TEST_F(AnswerCacheTest, LetsTheLeastRecentlyUsedGoFirst) {
  const uint64_t one = entry_bytes(25 + encode_answer(text_answer("hello")).size());
  options_.bytes_max = 3 * one;
  for (const char* name : {"a", "b", "c"}) store(name, "hello");
  flush();
  EXPECT_EQ(find("a"), "hello");  // b is the oldest now
  store("d", "hello");
  flush();
  EXPECT_EQ(find("b"), "-");
  for (const char* name : {"a", "c", "d"}) EXPECT_EQ(find(name), "hello") << name;
  EXPECT_EQ(cache().stats().evictions, 1u);
  EXPECT_EQ(cache().stats().bytes, 3 * one);
}

// Against a list that does the same in the plainest way, use by use.
TEST_F(AnswerCacheTest, AgreesWithAPlainModelOfLeastRecentlyUsed) {
  const unsigned seed = 7;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  options_.bytes_max = 20'000;
  struct Entry {
    std::string name, text;
    uint64_t bytes;
  };
  std::list<Entry> model;  // the most recently used first
  uint64_t model_bytes = 0;
  const auto in_model = [&](const std::string& name) {
    return std::find_if(model.begin(), model.end(), [&](const Entry& e) { return e.name == name; });
  };

  for (int round = 0; round < 3000; ++round) {
    const std::string name = "k" + std::to_string(random() % 60);
    const auto entry = in_model(name);
    if (random() % 2 == 0) {
      ASSERT_EQ(find(name), entry == model.end() ? "-" : entry->text) << "round " << round;
      if (entry != model.end()) model.splice(model.begin(), model, entry);
    } else {
      const std::string text(random() % 3000, static_cast<char>('a' + random() % 26));
      store(name, text);
      if (entry != model.end()) {
        model_bytes -= entry->bytes;
        model.erase(entry);
      }
      const uint64_t bytes = entry_bytes(25 + encode_answer(text_answer(text)).size());
      model.push_front({name, text, bytes});
      model_bytes += bytes;
      while (model_bytes > options_.bytes_max) {
        model_bytes -= model.back().bytes;
        model.pop_back();
      }
    }
    flush();
    if (random() % 500 == 0) reopen();
    ASSERT_EQ(cache().stats().entries, model.size()) << "round " << round;
    ASSERT_EQ(cache().stats().bytes, model_bytes) << "round " << round;
  }
  for (const Entry& entry : model) EXPECT_EQ(find(entry.name), entry.text);
}

// Flushed now and then, as a worker does it: never a wrong answer, never over the limit, the newest there.
TEST_F(AnswerCacheTest, StaysWithinItsLimitWhateverTheBatches) {
  const unsigned seed = 8;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  options_.bytes_max = 100'000;
  for (int round = 0; round < 5000; ++round) {
    const std::string name = std::to_string(random() % 1000);
    if (random() % 3 != 0) {
      const std::string found = find(name);
      EXPECT_TRUE(found == "-" || found.starts_with("answer " + name + " ")) << found;
    } else {
      store(name, "answer " + name + " " + std::string(random() % 4000, 'x'));
      if (random() % 20 == 0) {
        flush();
        EXPECT_NE(find(name), "-");
        ASSERT_LE(cache().stats().bytes, options_.bytes_max);
      }
    }
  }
}

// The limit is about the disk, so what is counted is held against what the file uses.
TEST_F(AnswerCacheTest, CountsNoLessThanTheFileUses) {
  const unsigned seed = 9;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  options_.bytes_max = 4u << 20;
  for (int i = 0; i < 20'000; ++i) store(std::to_string(i), std::string(random() % 600, 'x'));
  flush();
  EXPECT_GT(cache().stats().evictions, 1000u);
  reopen();
  auto environment = Environment::open(options_.folder, shared());
  ASSERT_TRUE(environment);
  const uint64_t some_pages = 48 * 4096;  // of the tree of tables and the list of free pages
  EXPECT_LE(environment->usage()->used_bytes, options_.bytes_max + some_pages);
}

// A map too small for its limit: every flush ends well, by making room.
TEST_F(AnswerCacheTest, MakesRoomInAFullMap) {
  options_.map_bytes = 512 << 10;
  for (int i = 0; i < 2000; ++i) {
    store(std::to_string(i), "answer " + std::string(1500, 'x'));
    if (i % 10 == 9) flush();
  }
  EXPECT_NE(find("1999"), "-") << "the newest is there";
  EXPECT_EQ(find("0"), "-") << "the oldest had to go";
  EXPECT_GT(cache().stats().evictions, 0u);
}

// Not even one batch fits: the error is for the log, the cache goes on.
TEST_F(AnswerCacheTest, SaysSoWhenNothingFitsAndGoesOn) {
  options_.map_bytes = 256 << 10;
  for (int i = 0; i < 400; ++i) store("big" + std::to_string(i), std::string(3000, 'x'));
  const auto flushed = cache().settle();
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().code, ErrorCode::kFull);
  EXPECT_EQ(find("big0"), "-");
  store("small", "hello");
  flush();
  EXPECT_EQ(find("small"), "hello");
}

TEST_F(AnswerCacheTest, WritesByItselfWhenNobodyFlushes) {
  for (int i = 0; i < 400; ++i) store(std::to_string(i), std::string(60'000, 'x'));
  for (int i = 0; i < 1000 && cache().stats().entries < 100; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_GE(cache().stats().entries, 100u);
}

// ---- damage and change -----------------------------------------------------------------------------------

TEST_F(AnswerCacheTest, TakesADamagedEntryForAMissAndRemovesIt) {
  store("a", "hello");
  store("b", "world");
  in_the_store("answers", [&](Table& answers, WriteTransaction& in) {
    std::string bytes(**answers.get(in, view_of(key_of("a").bytes)));
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    ASSERT_TRUE(answers.put(in, view_of(key_of("a").bytes), bytes));
  });
  EXPECT_EQ(find("a"), "-");
  EXPECT_EQ(find("b"), "world");
  flush();
  EXPECT_EQ(cache().stats().entries, 1u);
  store("a", "again");
  flush();
  EXPECT_EQ(find("a"), "again");
}

TEST_F(AnswerCacheTest, EmptiesAFolderOfAnotherFormatAndSaysSo) {
  store("a", "hello");
  EXPECT_EQ(cache().note(), "");
  in_the_store("meta", [](Table& meta, WriteTransaction& in) {
    ASSERT_TRUE(meta.put(in, "format", "tandem answers 0"));
  });
  EXPECT_THAT(cache().note(),
              HasSubstr("emptied, expected the format 'tandem answers 3', found 'tandem answers 0'"
                        " with 1 answers"));
  EXPECT_EQ(find("a"), "-");
  store("a", "hello");
  reopen();
  EXPECT_EQ(cache().note(), "");
  EXPECT_EQ(find("a"), "hello");
}

TEST_F(AnswerCacheTest, NamesAFolderThatIsNoStore) {
  std::filesystem::create_directories(options_.folder);
  std::ofstream(options_.folder / "data.mdb") << std::string(16384, 'x');
  const auto opened = AnswerCache::open(options_, clock_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(opened.error().text, HasSubstr(options_.folder.string()));

  options_.folder = "/proc/no/such/folder";
  EXPECT_EQ(AnswerCache::open(options_, clock_).error().code, ErrorCode::kIo);
}

TEST_F(AnswerCacheTest, IsEmptyAfterClear) {
  store("a", "hello");
  flush();
  store("b", "waiting");
  ASSERT_TRUE(cache().clear());
  EXPECT_EQ(find("a"), "-");
  EXPECT_EQ(find("b"), "-");
  EXPECT_EQ(cache().stats().entries, 0u);
  EXPECT_EQ(cache().stats().bytes, 0u);
}

// ---- looking after it ------------------------------------------------------------------------------------

TEST_F(AnswerCacheTest, ShowsWhatIsThereAndTakesItElsewhereAsItIs) {
  ASSERT_TRUE(cache().store(key_of("a"), text_answer("hello"), 60s, "mine"));
  store("b", "world");
  for (int i = 0; i < 2'500; ++i) store(std::to_string(i), "one of many");
  flush();
  clock_.advance(30s);
  std::map<Hash128, KeptAnswer> kept;
  ASSERT_TRUE(cache().for_each([&](const KeptAnswer& answer) {
    kept[answer.key] = answer;
    return true;
  }));
  EXPECT_EQ(kept.size(), 2'502u);
  const KeptAnswer& a = kept.at(key_of("a"));
  EXPECT_EQ(a.cache_namespace, "mine");
  EXPECT_EQ(a.result.text->text, "hello");
  EXPECT_EQ(a.result.usage.computed_tokens, 18u);
  EXPECT_EQ(a.expires_ms, a.created_ms + 60'000);
  EXPECT_EQ(kept.at(key_of("b")).expires_ms, 0);

  reopen();
  options_.folder = folder_ / "elsewhere";
  for (const auto& [key, answer] : kept) EXPECT_TRUE(cache().keep(answer));
  flush();
  EXPECT_EQ(find("a"), "hello");
  clock_.advance(30s);
  EXPECT_EQ(find("a"), "-") << "its time went on";
  EXPECT_FALSE(cache().keep(a)) << "it is over";
  EXPECT_EQ(find("b"), "world");
}

TEST_F(AnswerCacheTest, RemovesWhatItIsTold) {
  store("a", "hello");
  store("b", "world");
  flush();
  cache().remove(key_of("a"));
  cache().remove(key_of("nothing"));
  EXPECT_EQ(find("a"), "-") << "at once";
  flush();
  EXPECT_EQ(find("a"), "-");
  EXPECT_EQ(find("b"), "world");
  EXPECT_EQ(cache().stats().entries, 1u);
  int n_seen = 0;
  ASSERT_TRUE(cache().for_each([&](const KeptAnswer&) { return ++n_seen < 1; }));
  EXPECT_EQ(n_seen, 1);
}

TEST_F(AnswerCacheTest, CountsWhatHappens) {
  store("a", "hello");
  find("a");
  find("a");
  find("b");
  flush();
  const AnswerCacheStats stats = cache().stats();
  EXPECT_EQ(stats.stores, 1u);
  EXPECT_EQ(stats.hits, 2u);
  EXPECT_EQ(stats.misses, 1u);
  EXPECT_EQ(stats.entries, 1u);
  EXPECT_GT(stats.bytes, 100u);
}

}  // namespace
}  // namespace tandem

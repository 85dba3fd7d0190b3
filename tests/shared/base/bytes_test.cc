#include "shared/base/bytes.h"

#include <gtest/gtest.h>

#include <sstream>

namespace tandem {
namespace {

// Says when the memory behind it goes.
struct Watched {
  std::shared_ptr<const std::string> owner;
  std::weak_ptr<const std::string> watched;
};
Watched watch(const std::string& text) {
  auto owner = std::make_shared<const std::string>(text);
  std::weak_ptr<const std::string> watched = owner;
  return {std::move(owner), std::move(watched)};
}

TEST(Bytes, AreEmptyWhenNothingWasPutIn) {
  const Bytes none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.size(), 0u);
  EXPECT_EQ(none, "");
  EXPECT_EQ(none, Bytes(std::string()));
  EXPECT_EQ(none.slice(0, 10), none);
}

TEST(Bytes, TakeAStringOver) {
  std::string text(1000, 'x');
  const char* const at = text.data();
  const Bytes bytes(std::move(text));
  EXPECT_EQ(bytes.view().data(), at) << "not copied";
  EXPECT_EQ(bytes.size(), 1000u);
}

TEST(Bytes, CopyAViewAndKeepItsZeros) {
  const std::string text("a\0b", 3);
  const Bytes bytes{std::string_view(text)};
  EXPECT_NE(bytes.view().data(), text.data());
  EXPECT_EQ(bytes.size(), 3u);
  EXPECT_EQ(bytes.to_string(), text);
}

TEST(Bytes, ShareTheirMemoryWithCopies) {
  const Bytes one("shared");
  const Bytes two = one;  // NOLINT: the copy is what is tested
  EXPECT_EQ(one.view().data(), two.view().data());
}

TEST(Bytes, KeepTheirOwnerAliveInEverySlice) {
  auto [owner, watched] = watch("head,first,second");
  Bytes whole(owner, *owner);
  const char* const at = owner->data();
  owner.reset();
  Bytes second = whole.slice(11, 6);
  Bytes part = second.slice(3, 100);  // as much as there is
  whole = Bytes();
  EXPECT_FALSE(watched.expired());
  EXPECT_EQ(second, "second");
  EXPECT_EQ(second.view().data(), at + 11);
  second = Bytes();
  EXPECT_FALSE(watched.expired()) << "a slice of a slice keeps it too";
  EXPECT_EQ(part, "ond");
  part = Bytes();
  EXPECT_TRUE(watched.expired()) << "nobody looks any more";
}

// Left as it was, a moved-from view would point at memory that another keeps, or nobody.
TEST(Bytes, AreEmptyOnceMovedFrom) {
  Bytes from("text");
  Bytes to(std::move(from));
  EXPECT_TRUE(from.empty());  // NOLINT: the state after a move is what is tested
  EXPECT_EQ(from.view().data(), nullptr);
  EXPECT_EQ(to, "text");
  Bytes again("other");
  again = std::move(to);
  EXPECT_TRUE(to.empty());  // NOLINT
  EXPECT_EQ(to.view().data(), nullptr);
  EXPECT_EQ(again, "text");
}

TEST(Bytes, LetGoOfWhatTheyHadWhenAssigned) {
  auto [owner, watched] = watch("old");
  Bytes bytes(owner, *owner);
  owner.reset();
  bytes = Bytes("new");
  EXPECT_TRUE(watched.expired());
  EXPECT_EQ(bytes, "new");
}

TEST(Bytes, AreEqualWhenTheirBytesAre) {
  const Bytes whole("abcabc");
  EXPECT_EQ(whole.slice(0, 3), whole.slice(3, 3)) << "wherever they are";
  EXPECT_EQ(whole, std::string_view("abcabc"));
  EXPECT_NE(whole.slice(0, 3), whole.slice(2, 3));
  EXPECT_NE(whole.slice(0, 2), whole.slice(0, 3));
  EXPECT_NE(Bytes(std::string("a\0b", 3)), Bytes(std::string("a\0c", 3)));
}

TEST(Bytes, AreReadLikeText) {
  const Bytes bytes("text");
  const std::string_view view = bytes;
  EXPECT_EQ(view, "text");
  std::ostringstream out;
  out << bytes;
  EXPECT_EQ(out.str(), "text");
}

}  // namespace
}  // namespace tandem

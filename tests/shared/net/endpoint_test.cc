#include "shared/net/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

TEST(Endpoint, IsAHostAndAPortOrAPath) {
  const auto tcp = parse_endpoint("tcp://broker.example:5557");
  ASSERT_TRUE(tcp);
  EXPECT_EQ(tcp->host, "broker.example");
  EXPECT_EQ(tcp->port, 5557);
  EXPECT_FALSE(tcp->is_local());
  const auto ipc = parse_endpoint("ipc:///run/tandem/submit");
  ASSERT_TRUE(ipc);
  EXPECT_EQ(ipc->path, "/run/tandem/submit");
  EXPECT_TRUE(ipc->is_local());
  const auto six = parse_endpoint("tcp://[::1]:80");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->host, "::1");
  EXPECT_TRUE(six->is_local());
  for (const char* text : {"tcp://broker.example:5557", "ipc:///run/tandem/submit", "tcp://[::1]:80"}) {
    EXPECT_EQ(parse_endpoint(text)->to_string(), text);
  }
}

TEST(Endpoint, SaysWhatIsWrongWithIt) {
  const auto error = [](std::string_view text) {
    const auto endpoint = parse_endpoint(text);
    return endpoint ? std::string("fine") : endpoint.error().text;
  };
  EXPECT_THAT(error(""), HasSubstr("expected tcp://host:port or ipc://path"));
  EXPECT_THAT(error("http://x:1"), HasSubstr("expected tcp://host:port or ipc://path"));
  EXPECT_THAT(error("tcp://host"), HasSubstr("expected tcp://host:port, found no port"));
  EXPECT_THAT(error("tcp://:5"), HasSubstr("the host ''"));
  EXPECT_THAT(error("tcp://a b:5"), HasSubstr("the host 'a b'"));
  EXPECT_THAT(error("tcp://::1:5"), HasSubstr("the host '::1'"));
  EXPECT_THAT(error("tcp://[1]:5"), HasSubstr("IPv6"));
  for (const char* port : {"", "x", "-1", "65536", "5x", "1e3"}) {
    EXPECT_THAT(error(std::string("tcp://host:") + port), HasSubstr("expected a port from 0 to 65535"))
        << port;
  }
  EXPECT_THAT(error("ipc://"), HasSubstr("expected a file name"));
  EXPECT_THAT(error("ipc:///run/"), HasSubstr("expected a file name"));
  EXPECT_THAT(error("ipc://*"), HasSubstr("expected a file name"));
  EXPECT_THAT(error("ipc://@abstract"), HasSubstr("expected a file name"));
}

// The system's address of a socket has 108 bytes, with the zero at the end.
TEST(Endpoint, PathsOfIpcHave107Bytes) {
  EXPECT_TRUE(parse_endpoint("ipc://" + std::string(107, 'p')));
  const auto over = parse_endpoint("ipc://" + std::string(108, 'p'));
  ASSERT_FALSE(over);
  EXPECT_THAT(over.error().text, HasSubstr("a path of at most 107 bytes"));
  EXPECT_THAT(over.error().text, HasSubstr("found 108"));
}

TEST(Endpoint, IsBoundOnThisMachineOnly) {
  const auto check = [](const char* text) { return check_bindable(*parse_endpoint(text)); };
  for (const char* local : {"tcp://127.0.0.1:5", "tcp://127.1.2.3:5", "tcp://localhost:5", "tcp://[::1]:5"}) {
    EXPECT_TRUE(check(local)) << local;
  }
  for (const char* open : {"tcp://0.0.0.0:5", "tcp://*:5", "tcp://10.0.0.1:5", "tcp://eth0:5",
                           "tcp://127.evil.org:5", "tcp://[::]:5", "tcp://broker:5"}) {
    const auto refused = check(open);
    ASSERT_FALSE(refused) << open;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(refused.error().text, HasSubstr("without keys only ipc:// and loopback may be bound"));
  }
}

TEST(Endpoint, OfIpcIsBoundInAFolderThatIsThere) {
  const testing::TempDir folder;
  EXPECT_TRUE(check_bindable(*parse_endpoint("ipc://" + (folder / "s").string())));
  const auto missing = check_bindable(*parse_endpoint("ipc://" + (folder / "none/s").string()));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().text, HasSubstr("expected the folder " + (folder / "none").string()));
}

}  // namespace
}  // namespace tandem

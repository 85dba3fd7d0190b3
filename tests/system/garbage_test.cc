// Bytes without sense at every door of a real broker: it is there afterwards, has not grown, and works.

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <zmq.hpp>

#include "shared/protocol/frames.h"
#include "tests/system/queue_on_test.h"

namespace tandem::testing {
namespace {

using namespace std::chrono_literals;

class GarbageTest : public QueueOnTest {
 protected:
  GarbageTest() : random_(seed_) {}

  size_t resident_kib() const {
    std::ifstream status("/proc/" + std::to_string(broker_->pid()) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmRSS:")) return std::strtoul(line.c_str() + 6, nullptr, 10);
    }
    return 0;
  }
  std::string noise(size_t n_bytes_max) {
    std::string bytes(random_() % (n_bytes_max + 1), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_());
    return bytes;
  }
  // A good message with a few bytes turned, frames left out, or frames too many.
  std::vector<std::string> nearly_a_message() {
    Submit submit{random_(), "carl", {}};
    submit.items.resize(random_() % 3);
    for (SubmitItem& item : submit.items) item.payload = noise(100);
    const Message messages[] = {submit,
                                Fetch{1, std::vector<JobId>(random_() % 5)},
                                Hello{noise(8), "host", "model", 5, {"task"}, {}},
                                Heartbeat{},
                                ResultMessage{"ann", {{JobId{}, 1, {}, false, "payload"}}},
                                Collect{2, "carl", 7},
                                Status{3}};
    const Frames frames = encode(messages[random_() % std::size(messages)]);
    std::vector<std::string> parts = {std::string(frames.head), std::string(frames.envelope),
                                      std::string(frames.payload)};
    for (size_t n = random_() % 4; n > 0; --n) {
      std::string& part = parts[random_() % parts.size()];
      if (!part.empty()) part[random_() % part.size()] = static_cast<char>(random_());
    }
    if (random_() % 8 == 0) parts.pop_back();
    if (random_() % 8 == 0) parts.push_back(noise(50));
    return parts;
  }
  void send(zmq::socket_t& socket, const std::vector<std::string>& parts) {
    for (size_t i = 0; i < parts.size(); ++i) {
      const auto more = i + 1 < parts.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
      socket.send(zmq::buffer(parts[i]), more);
    }
  }

  void expect_it_works() {
    ASSERT_TRUE(broker_->running()) << broker_->err();
    const auto worker = start_worker("ann");
    const auto client = open_client("carl");
    submit(*client, 5);
    EXPECT_EQ(take_outcomes(*client, 5).size(), 5u) << broker_->err();
  }

  const uint64_t seed_ = std::random_device{}();
  std::mt19937_64 random_;
};

TEST_F(GarbageTest, MessagesThatAreNoneDisturbNothing) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  start_broker();
  const size_t before = resident_kib();
  zmq::context_t context;
  for (const char* door : {"submit", "work", "results-in"}) {
    zmq::socket_t socket(
        context, std::string(door) == "results-in" ? zmq::socket_type::push : zmq::socket_type::dealer);
    socket.set(zmq::sockopt::linger, 5000);
    socket.set(zmq::sockopt::sndtimeo, 30000);
    socket.connect(endpoint(door));
    for (int i = 0; i < 3000; ++i) {
      if (random_() % 2 == 0) {
        send(socket, nearly_a_message());
      } else {
        std::vector<std::string> parts(1 + random_() % 6);
        for (std::string& part : parts) part = noise(random_() % 50 == 0 ? 100'000 : 60);
        send(socket, parts);
      }
    }
  }
  expect_it_works();
  EXPECT_LT(resident_kib(), before + 100 * 1024);
}

// What claims to be the longest message there is, and is not.
TEST_F(GarbageTest, BytesThatAreNotEvenZeroMqDisturbNothing) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  start_broker();
  const size_t before = resident_kib();
  const std::string greeting = std::string("\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL", 16) + std::string(48, '\0');
  for (int i = 0; i < 300; ++i) {
    for (const char* door : {"submit", "work", "results-in", "results-out"}) {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      const std::string path = (dir_ / "run" / door).string();
      std::memcpy(address.sun_path, path.c_str(), path.size());
      const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      ASSERT_GE(fd, 0);
      if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
        std::string bytes = random_() % 2 == 0 ? greeting.substr(0, random_() % 65) : std::string();
        if (random_() % 4 == 0)
          bytes += std::string("\2\0\0\0\0\xff\xff\xff\xff", 9);  // a frame of 4 GiB to come
        bytes += noise(200);
        (void)!::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      }
      ::close(fd);
    }
  }
  expect_it_works();
  EXPECT_LT(resident_kib(), before + 100 * 1024);
}

}  // namespace
}  // namespace tandem::testing

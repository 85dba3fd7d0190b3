// Real sockets, over ipc and tcp. Nothing here depends on how long a thing takes: a test waits for what must
// come, and gives up after so long that it never came.

#include "shared/net/sockets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>
#include <zmq.hpp>

#include "shared/net/wait.h"
#include "tests/support/temp_dir.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr Duration kNever = 30s;

// The next message, which must come.
template <typename S>
auto next(S& socket) {
  auto received = socket.receive();
  while (!received && wait({socket}, kNever)) received = socket.receive();
  return received;
}

bool port_is_free(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return free;
}

class Sockets : public ::testing::TestWithParam<const char*> {
 protected:
  std::string free_endpoint(const std::string& name) {
    return std::string(GetParam()) == "tcp" ? "tcp://127.0.0.1:0" : "ipc://" + (folder_ / name).string();
  }

  testing::TempDir folder_;
  NetContext context_;
};
INSTANTIATE_TEST_SUITE_P(Transports, Sockets, ::testing::Values("ipc", "tcp"),
                         [](const auto& one) { return std::string(one.param); });

TEST_P(Sockets, HoldAConversation) {
  auto broker = RouterSocket::bind(context_, free_endpoint("submit"));
  ASSERT_TRUE(broker) << broker.error().text;
  auto client = DealerSocket::connect(context_, broker->endpoint());
  ASSERT_TRUE(client) << client.error().text;

  ASSERT_TRUE(client->send(Fetch{7, {JobId{}}}));
  const auto question = next(*broker);
  ASSERT_TRUE(question && question->message) << "the broker hears the client";
  EXPECT_EQ(*question->message, Message(Fetch{7, {JobId{}}}));

  ASSERT_TRUE(broker->send(question->peer, Fetched{7, {}}));
  const auto answer = next(*client);
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ(**answer, Message(Fetched{7, {}}));
  EXPECT_FALSE(client->receive()) << "nothing else came";
}

TEST_P(Sockets, CarryPayloadsOfAnySize) {
  auto pull = PullSocket::bind(context_, free_endpoint("results"));
  ASSERT_TRUE(pull);
  auto push = PushSocket::connect(context_, pull->endpoint());
  ASSERT_TRUE(push);
  for (const size_t n_bytes :
       {size_t{0}, size_t{1}, size_t{16} << 10, (size_t{16} << 10) + 1, limits::kPayloadBytesMax}) {
    const Partial sent{"ann", {{JobId{}, 1, std::string(n_bytes, 'p')}}};
    ASSERT_TRUE(push->send(sent));
    const auto message = next(*pull);
    ASSERT_TRUE(message && *message);
    EXPECT_EQ(**message, Message(sent)) << n_bytes;
  }
}

// A payload is a part of the frame that arrived: it must not change with what arrives after it.
TEST_P(Sockets, KeepWhatArrivedForAsLongAsSomebodyLooks) {
  std::vector<Bytes> kept;
  {
    auto pull = PullSocket::bind(context_, free_endpoint("results"));
    ASSERT_TRUE(pull);
    auto push = PushSocket::connect(context_, pull->endpoint());
    ASSERT_TRUE(push);
    for (const char letter : {'a', 'b', 'c'}) {
      for (const size_t n_bytes : {1, 20, 1000, 100'000}) {
        const std::string payload(n_bytes, letter);
        ASSERT_TRUE(push->send(Partial{"ann", {{JobId{}, 1, "in front"}, {JobId{}, 1, payload}}}));
        const auto message = next(*pull);
        ASSERT_TRUE(message && *message);
        kept.push_back(std::get<Partial>(**message).items.at(1).payload);
      }
    }
  }
  size_t i = 0;
  for (const char letter : {'a', 'b', 'c'}) {
    for (const size_t n_bytes : {1, 20, 1000, 100'000}) {
      EXPECT_EQ(kept.at(i++), std::string(n_bytes, letter));
    }
  }
}

TEST_P(Sockets, PublishToWhoeverListensToTheTopic) {
  auto publisher = PublisherSocket::bind(context_, free_endpoint("topics"));
  ASSERT_TRUE(publisher);
  auto ann = SubscriberSocket::connect(context_, publisher->endpoint());
  auto bob = SubscriberSocket::connect(context_, publisher->endpoint());
  ASSERT_TRUE(ann && bob);
  ASSERT_TRUE(ann->subscribe("ann/"));
  ASSERT_TRUE(bob->subscribe("bob/"));

  // A subscription takes effect some time after the connection stands, so repeat until it did.
  std::optional<SubscriberSocket::Published> heard;
  for (int i = 0; i < 3000 && !heard; ++i) {
    ASSERT_TRUE(publisher->publish("ann/", Partial{"w", {}}));
    wait({*ann}, 10ms);
    heard = ann->receive();
  }
  ASSERT_TRUE(heard && heard->message);
  EXPECT_EQ(heard->topic, "ann/");
  EXPECT_EQ(*heard->message, Message(Partial{"w", {}}));
  EXPECT_FALSE(bob->receive());
}

TEST_P(Sockets, SayWhenAPeerIsGone) {
  auto broker = RouterSocket::bind(context_, free_endpoint("work"));
  ASSERT_TRUE(broker);
  std::string peer;
  {
    auto worker = DealerSocket::connect(context_, broker->endpoint());
    ASSERT_TRUE(worker && worker->send(Ready{1}));
    peer = next(*broker)->peer;
    EXPECT_TRUE(broker->send(peer, Welcome{}));
  }
  Result<void> sent;
  for (int i = 0; i < 3000 && sent; ++i) {
    sent = broker->send(peer, Welcome{});
    wait({*broker}, 10ms);
  }
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(broker->send("nobody", Welcome{}).error().code, ErrorCode::kUnavailable);
}

// A malformed message is an answerable error from a known peer, and the next one is read as if nothing was.
TEST_P(Sockets, GoOnAfterAMalformedMessage) {
  auto broker = RouterSocket::bind(context_, free_endpoint("submit"));
  ASSERT_TRUE(broker);
  zmq::context_t raw_context;
  zmq::socket_t raw(raw_context, zmq::socket_type::dealer);
  raw.set(zmq::sockopt::linger, 0);
  raw.connect(broker->endpoint());
  const auto send_raw = [&](std::vector<std::string> frames) {
    for (size_t i = 0; i < frames.size(); ++i) {
      const auto more = i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
      raw.send(zmq::buffer(frames[i]), more);
    }
  };
  const std::vector<std::pair<std::vector<std::string>, std::string>> malformed = {
      {{""}, "found 1"},
      {{"a", "b"}, "found 2"},
      {{"a", "b", "c", "d", "e", "f", "g"}, "found 7"},
      {{"GET / HTTP/1.1", "", ""}, "expected a head of 2 bytes"},
      {{"\x02\x03", "not msgpack", ""}, "fetch: expected a list"},
  };
  for (const auto& [frames, expected] : malformed) {
    send_raw(frames);
    const auto bad = next(*broker);
    ASSERT_TRUE(bad);
    ASSERT_FALSE(bad->message);
    EXPECT_THAT(bad->message.error().text, HasSubstr(expected));
    EXPECT_TRUE(broker->send(bad->peer, Refused{0, bad->message.error()}));
  }
  const Frames good = encode(Ready{4});
  send_raw({good.head, good.envelope, good.payload});
  const auto message = next(*broker);
  ASSERT_TRUE(message && message->message);
  EXPECT_EQ(*message->message, Message(Ready{4}));
}

// Somebody who sends more than any message may have loses the connection, and only that.
TEST_P(Sockets, CutOffWhoeverSendsTooMuch) {
  SocketOptions small;
  small.message_bytes_max = 1000;
  auto broker = RouterSocket::bind(context_, free_endpoint("submit"), small);
  ASSERT_TRUE(broker);
  auto hostile = DealerSocket::connect(context_, broker->endpoint());
  auto client = DealerSocket::connect(context_, broker->endpoint());
  ASSERT_TRUE(hostile && client);
  ASSERT_TRUE(hostile->send(Partial{"w", {{JobId{}, 1, std::string(2000, 'p')}}}));
  ASSERT_TRUE(client->send(Ready{1}));
  const auto message = next(*broker);
  ASSERT_TRUE(message && message->message);
  EXPECT_EQ(*message->message, Message(Ready{1}));
}

TEST_P(Sockets, RefuseToSendWhatNobodyWouldRead) {
  SocketOptions options;
  options.linger = 0ms;
  auto push = PushSocket::connect(context_, "ipc://" + (folder_ / "nobody").string(), options);
  ASSERT_TRUE(push);
  const std::string eighth(limits::kMessageBytesMax / 8, 'p');
  const auto sent = push->send(Partial{"w", std::vector<PartialItem>(8, {JobId{}, 1, eighth})});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::kTooLong);
  EXPECT_TRUE(push->send(Partial{"w", std::vector<PartialItem>(7, {JobId{}, 1, eighth})}));

  // All of it in the envelope, and no payload.
  WorkerStatus worker;
  worker.name = std::string(limits::kMessageBytesMax / 64, 'n');
  StatusReply reply;
  reply.workers.assign(65, worker);
  const auto status = push->send(reply);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kTooLong);
}

// A request of a hundred bytes may ask for megabytes, and ZeroMQ counts messages only.
TEST_P(Sockets, HoldSoManyBytesForAPeerThatDoesNotRead) {
  auto broker = RouterSocket::bind(context_, free_endpoint("submit"));
  ASSERT_TRUE(broker);
  SocketOptions one;
  one.queue_max = 1;  // so that it does not read ahead
  auto silent = DealerSocket::connect(context_, broker->endpoint(), one);
  auto other = DealerSocket::connect(context_, broker->endpoint());
  ASSERT_TRUE(silent && other);
  std::vector<std::string> peers;
  for (DealerSocket* client : {&*silent, &*other}) {
    ASSERT_TRUE(client->send(Ready{1}));
    const auto heard = next(*broker);
    ASSERT_TRUE(heard);
    peers.push_back(heard->peer);
  }
  FetchedItem item;
  item.payload = std::string(8 << 20, 'p');
  const Fetched big{1, {item}};
  size_t n_sent = 0;
  Result<void> sent;
  // The receiving side holds up to a thousand messages of its own here: it is in this process, and reads
  // ahead.
  while (sent && n_sent < 100) {
    sent = broker->send(peers[0], big);
    if (sent) ++n_sent;
  }
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::kFull);
  EXPECT_TRUE(broker->send(peers[0], Fetched{2, {}})) << "what is small has room";
  EXPECT_TRUE(broker->send(peers[1], big)) << "and others have their own";
  EXPECT_TRUE(next(*other));

  // Once it reads there is room again.
  for (size_t n = 0; n < n_sent + 1; ++n) ASSERT_TRUE(next(*silent));
  EXPECT_TRUE(broker->send(peers[0], big));
  EXPECT_TRUE(next(*silent));
}

TEST_P(Sockets, SayFullInsteadOfWaiting) {
  SocketOptions one;
  one.queue_max = 1;
  auto pull = PullSocket::bind(context_, free_endpoint("results"), one);
  ASSERT_TRUE(pull);
  auto push = PushSocket::connect(context_, pull->endpoint(), one);
  ASSERT_TRUE(push);
  const Partial large{"w", {{JobId{}, 1, std::string(1 << 20, 'p')}}};
  int n_sent = 0;
  Result<void> sent = push->send(large);
  while (sent && n_sent < 1000) {
    ++n_sent;
    sent = push->send(large);
  }
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::kFull);

  // Everything that was taken arrives, and then there is room again.
  for (int i = 0; i < n_sent; ++i) ASSERT_TRUE(next(*pull)) << i;
  ASSERT_TRUE(wait({Waitable::room(*push)}, kNever));
  EXPECT_TRUE(push->send(large));
}

TEST_P(Sockets, WaitForAPeerThatIsStillAway) {
  // A port that the system does not give out by itself: a client that connects to such a one with nobody
  // there may be given the very same as its own and end up talking to itself. Tried with a plain socket,
  // which is closed at once; ZeroMQ's listener would live on for a moment and take the messages.
  std::string endpoint = free_endpoint("later");
  if (std::string(GetParam()) == "tcp") {
    int port = 15'000 + ::getpid() % 15'000;
    while (port < 32'000 && !port_is_free(port)) ++port;
    endpoint = "tcp://127.0.0.1:" + std::to_string(port);
  }
  SocketOptions options;
  options.connected_only = true;
  auto choosy = PushSocket::connect(context_, endpoint, options);
  auto patient = PushSocket::connect(context_, endpoint);
  ASSERT_TRUE(choosy && patient);
  EXPECT_EQ(choosy->send(Ready{1}).error().code, ErrorCode::kFull) << "nobody is connected";
  EXPECT_TRUE(patient->send(Ready{2}));

  Result<PullSocket> pull = PullSocket::bind(context_, endpoint);
  // The system may take a moment to let go of the port.
  for (int i = 0; i < 300 && !pull; ++i) {
    std::this_thread::sleep_for(100ms);
    pull = PullSocket::bind(context_, endpoint);
  }
  ASSERT_TRUE(pull) << pull.error().text;
  const auto message = next(*pull);
  ASSERT_TRUE(message && *message);
  EXPECT_EQ(**message, Message(Ready{2}));
  ASSERT_TRUE(wait({Waitable::room(*choosy)}, kNever));
  EXPECT_TRUE(choosy->send(Ready{1}));
}

TEST_P(Sockets, AreNotTakenFromAProgramThatHasThem) {
  auto first = RouterSocket::bind(context_, free_endpoint("submit"));
  ASSERT_TRUE(first);
  const auto second = RouterSocket::bind(context_, first->endpoint());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kExists);
  EXPECT_THAT(second.error().text, HasSubstr(first->endpoint()));
  EXPECT_THAT(second.error().text, HasSubstr("found it in use"));

  // And the first still works.
  auto client = DealerSocket::connect(context_, first->endpoint());
  ASSERT_TRUE(client && client->send(Ready{1}));
  EXPECT_TRUE(next(*first));
}

class IpcSockets : public ::testing::Test {
 protected:
  testing::TempDir folder_;
  const std::string path_ = folder_ / "socket";
  const std::string endpoint_ = "ipc://" + path_;
  NetContext context_;
};

TEST_F(IpcSockets, LeaveNothingBehind) {
  { ASSERT_TRUE(PullSocket::bind(context_, endpoint_)); }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
  EXPECT_TRUE(PullSocket::bind(context_, endpoint_)) << "and can be bound again at once";
}

TEST_F(IpcSockets, AreBoundWhereADeadProgramLeftItsFile) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(fd);
  ASSERT_TRUE(std::filesystem::exists(path_));
  auto socket = PullSocket::bind(context_, endpoint_);
  EXPECT_TRUE(socket) << socket.error().text;
}

TEST_F(IpcSockets, AreBoundAgainAfterAProgramWasKilled) {
  int pipe_fds[2];
  ASSERT_EQ(::pipe(pipe_fds), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto* context = new NetContext;
    const auto socket = PullSocket::bind(*context, endpoint_);
    const char good = socket ? 'y' : 'n';
    if (::write(pipe_fds[1], &good, 1) == 1) ::pause();
    ::_exit(1);
  }
  char good = 0;
  ASSERT_EQ(::read(pipe_fds[0], &good, 1), 1);
  ASSERT_EQ(good, 'y');

  const auto taken = PullSocket::bind(context_, endpoint_);
  EXPECT_FALSE(taken);
  if (!taken) {
    EXPECT_THAT(taken.error().text, HasSubstr("the process " + std::to_string(child)));
  }

  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const auto free = PullSocket::bind(context_, endpoint_);
  EXPECT_TRUE(free) << free.error().text;
  ::close(pipe_fds[0]);
  ::close(pipe_fds[1]);
}

// A program that does not know of the lock.
TEST_F(IpcSockets, AreNotTakenFromAStranger) {
  zmq::context_t context;
  zmq::socket_t stranger(context, zmq::socket_type::pull);
  stranger.bind(endpoint_);
  const auto taken = PullSocket::bind(context_, endpoint_);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kExists);
}

TEST_F(IpcSockets, AreNotBoundInAFolderThatIsMissing) {
  const auto socket = PullSocket::bind(context_, "ipc://" + (folder_ / "none/socket").string());
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().code, ErrorCode::kNotFound);
}

TEST(TcpSockets, AreBoundToLoopbackByName) {
  NetContext context;
  auto socket = PullSocket::bind(context, "tcp://localhost:0");
  ASSERT_TRUE(socket) << socket.error().text;
  EXPECT_THAT(socket->endpoint(), ::testing::StartsWith("tcp://127.0.0.1:"));
  EXPECT_FALSE(PullSocket::bind(context, "tcp://0.0.0.0:0"));
  EXPECT_FALSE(DealerSocket::connect(context, "tcp://127.0.0.1:0")) << "a peer has a port";
}

TEST(Wait, HearsAWakeFromAnotherThread) {
  Wake wake;
  EXPECT_FALSE(wait({wake}, 0s)) << "nothing was set";
  std::thread other([&] { wake.set(); });
  EXPECT_TRUE(wait({wake}, kNever));
  other.join();
  EXPECT_FALSE(wait({wake}, 0s)) << "waiting clears it";
}

TEST(Wait, HearsSocketsAndWakesTogether) {
  NetContext context;
  const testing::TempDir folder;
  auto pull = PullSocket::bind(context, "ipc://" + (folder / "s").string());
  ASSERT_TRUE(pull);
  auto push = PushSocket::connect(context, pull->endpoint());
  Wake wake;
  wake.set();
  EXPECT_TRUE(wait({*pull, wake}, kNever));
  EXPECT_FALSE(pull->receive());
  ASSERT_TRUE(push->send(Ready{1}));
  EXPECT_TRUE(wait({*pull, wake}, kNever));
  EXPECT_TRUE(pull->receive());
}

}  // namespace
}  // namespace tandem

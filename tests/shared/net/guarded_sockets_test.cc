// Sockets with keys, over tcp: who is let in, who is not, and what strangers cannot do. Nothing here depends
// on how long a thing takes, as in sockets_test.cc.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <zmq.hpp>

#include "shared/base/wake.h"
#include "shared/net/endpoint.h"
#include "shared/net/sockets.h"
#include "shared/net/wait.h"
#include "shared/net/zap.h"
#include "tests/support/temp_dir.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Duration kNever = 30s;
constexpr int kRoundsMax = 3000;  // of 10 ms

template <typename S>
auto next(S& socket) {
  auto received = socket.receive();
  while (!received && wait({socket}, kNever)) received = socket.receive();
  return received;
}

class GuardedSockets : public ::testing::Test {
 protected:
  GuardedSockets() {
    allow({{Role::kClient, ann_}, {Role::kWorker, host_}});
    file_ = must(AllowFile::open(path_));
    zap_ = must(ZapHandler::start(context_, *file_));
  }

  template <typename T>
  static T must(Result<T> result) {
    EXPECT_TRUE(result) << result.error().text;
    return std::move(*result);
  }

  void allow(const std::vector<std::pair<Role, KeyPair>>& keys) {
    std::string text = "# who may\n";
    for (const auto& [role, pair] : keys) text += allow_line({role, pair.name}, pair.public_key) + "\n";
    std::ofstream(path_ + ".new") << text;
    std::filesystem::rename(path_ + ".new", path_);
  }

  SocketOptions server() const {
    SocketOptions options;
    options.server_keys = broker_;
    options.linger = 0ms;
    return options;
  }
  SocketOptions with(const KeyPair& own) const { return with(own, broker_.public_key); }
  static SocketOptions with(const KeyPair& own, const std::string& server_key) {
    SocketOptions options;
    options.client_keys = ClientKeys{own, server_key};
    options.connected_only = true;
    options.linger = 0ms;
    return options;
  }

  // What a socket is told in the end about a connection that does not come about.
  static Error problem_of(DealerSocket& socket) {
    for (int i = 0; i < kRoundsMax; ++i) {
      if (auto problem = socket.handshake_problem()) return *problem;
      wait({socket}, 10ms);
    }
    ADD_FAILURE() << "nothing was said";
    return {};
  }

  const testing::TempDir folder_;
  const std::string path_ = folder_ / "allow";
  const KeyPair broker_ = must(make_key_pair("broker")), ann_ = must(make_key_pair("ann")),
                host_ = must(make_key_pair("host7")), eve_ = must(make_key_pair("eve"));
  NetContext context_;
  std::unique_ptr<AllowFile> file_;
  std::unique_ptr<ZapHandler> zap_;
};

TEST_F(GuardedSockets, KnowWhoSaidWhat) {
  auto router = must(RouterSocket::bind(context_, "tcp://127.0.0.1:0", server()));
  auto pull = must(PullSocket::bind(context_, "tcp://127.0.0.1:0", server()));
  EXPECT_TRUE(router.is_guarded());
  auto ann = must(DealerSocket::connect(context_, router.endpoint(), with(ann_)));
  ASSERT_TRUE(wait({Waitable::room(ann)}, kNever));
  ASSERT_TRUE(ann.send(Fetch{7, {}}));
  const auto question = next(router);
  ASSERT_TRUE(question && question->message);
  EXPECT_EQ(router.sender(), ann_.public_key);
  ASSERT_TRUE(router.send(question->peer, Fetched{7, {}}));
  EXPECT_TRUE(next(ann));
  EXPECT_FALSE(ann.handshake_problem());

  auto host = must(PushSocket::connect(context_, pull.endpoint(), with(host_)));
  ASSERT_TRUE(wait({Waitable::room(host)}, kNever));
  ASSERT_TRUE(host.send(Partial{"host7", {}}));
  ASSERT_TRUE(next(pull));
  EXPECT_EQ(pull.sender(), host_.public_key);
  EXPECT_EQ(zap_->n_allowed(), 2u);
  EXPECT_EQ(zap_->n_refused(), 0u);
}

TEST_F(GuardedSockets, RefuseAKeyThatIsNotInTheListAndSaySo) {
  auto router = must(RouterSocket::bind(context_, "tcp://127.0.0.1:0", server()));
  auto eve = must(DealerSocket::connect(context_, router.endpoint(), with(eve_)));
  const Error problem = problem_of(eve);
  EXPECT_EQ(problem.code, ErrorCode::kInvalid);
  EXPECT_THAT(problem.text, HasSubstr("does not let in the key " + eve_.public_key));
  EXPECT_THAT(problem.text, HasSubstr("allow file"));
  EXPECT_THAT(problem.text, Not(HasSubstr(eve_.secret_key.reveal())));
  EXPECT_EQ(eve.send(Ready{1}).error().code, ErrorCode::kFull) << "there is no connection to send over";
  EXPECT_FALSE(router.receive());
  EXPECT_GE(zap_->n_refused(), 1u);
}

TEST_F(GuardedSockets, AreRecognisedByTheirKey) {
  auto router = must(RouterSocket::bind(context_, "tcp://127.0.0.1:0", server()));
  auto ann = must(DealerSocket::connect(context_, router.endpoint(), with(ann_, eve_.public_key)));
  const Error problem = problem_of(ann);
  EXPECT_EQ(problem.code, ErrorCode::kUnavailable);
  EXPECT_THAT(problem.text, HasSubstr("is server_key the public key of that broker"));
  EXPECT_FALSE(router.receive());
}

TEST_F(GuardedSockets, SayWhenTheBrokerHasNoKeys) {
  auto router = must(RouterSocket::bind(context_, "tcp://127.0.0.1:0"));
  EXPECT_FALSE(router.is_guarded());
  auto ann = must(DealerSocket::connect(context_, router.endpoint(), with(ann_)));
  EXPECT_THAT(problem_of(ann).text, HasSubstr("expected a broker with keys at " + router.endpoint()));
}

TEST_F(GuardedSockets, DoNotListenToThoseWithoutKeys) {
  auto router = must(RouterSocket::bind(context_, "tcp://127.0.0.1:0", server()));
  SocketOptions plain;
  plain.connected_only = true;
  plain.linger = 0ms;
  auto nobody = must(DealerSocket::connect(context_, router.endpoint(), plain));
  auto ann = must(DealerSocket::connect(context_, router.endpoint(), with(ann_)));
  ASSERT_TRUE(wait({Waitable::room(ann)}, kNever));
  (void)nobody.send(Ready{1});
  ASSERT_TRUE(ann.send(Ready{2}));
  const auto message = next(router);
  ASSERT_TRUE(message && message->message);
  EXPECT_EQ(*message->message, Message(Ready{2}));
}

// Without the handler nobody could tell good keys from others.
TEST_F(GuardedSockets, AreNotBoundWithoutAHandler) {
  zap_.reset();
  const auto bound = RouterSocket::bind(context_, "tcp://127.0.0.1:0", server());
  ASSERT_FALSE(bound);
  EXPECT_THAT(bound.error().text, HasSubstr("expected a ZapHandler"));
  EXPECT_TRUE(ZapHandler::start(context_, *file_)) << "and one can be started then";
}

TEST_F(GuardedSockets, HaveOneHandlerToAContext) {
  EXPECT_EQ(ZapHandler::start(context_, *file_).error().code, ErrorCode::kExists);
}

TEST_F(GuardedSockets, FollowTheListWhileTheyAreOpen) {
  auto router = must(RouterSocket::bind(context_, "tcp://127.0.0.1:0", server()));
  auto ann = must(DealerSocket::connect(context_, router.endpoint(), with(ann_)));
  ASSERT_TRUE(wait({Waitable::room(ann)}, kNever) && ann.send(Ready{1}));
  ASSERT_TRUE(next(router));

  allow({{Role::kWorker, host_}, {Role::kClient, eve_}});
  ASSERT_TRUE(wait({file_->changed()}, kNever)) << "the handler looks at the file by itself";
  router.drop_connections(ann_.public_key);
  EXPECT_THAT(problem_of(ann).text, HasSubstr("does not let in the key"));

  auto eve = must(DealerSocket::connect(context_, router.endpoint(), with(eve_)));
  ASSERT_TRUE(wait({Waitable::room(eve)}, kNever) && eve.send(Ready{2}));
  const auto message = next(router);
  ASSERT_TRUE(message && message->message);
  EXPECT_EQ(*message->message, Message(Ready{2}));
  EXPECT_EQ(router.sender(), eve_.public_key);
}

TEST_F(GuardedSockets, DropTheConnectionsOfOneKeyOnly) {
  auto router = must(RouterSocket::bind(context_, "tcp://127.0.0.1:0", server()));
  auto ann = must(DealerSocket::connect(context_, router.endpoint(), with(ann_)));
  auto host = must(DealerSocket::connect(context_, router.endpoint(), with(host_)));
  std::map<std::string, std::string> peers;
  for (DealerSocket* socket : {&ann, &host}) {
    ASSERT_TRUE(wait({Waitable::room(*socket)}, kNever) && socket->send(Ready{1}));
    const auto heard = next(router);
    ASSERT_TRUE(heard);
    peers[router.sender()] = heard->peer;
  }
  router.drop_connections(ann_.public_key);
  Result<void> sent;
  for (int i = 0; i < kRoundsMax && sent; ++i) {
    sent = router.send(peers[ann_.public_key], Welcome{});
    wait({router}, 10ms);
  }
  EXPECT_EQ(sent.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(router.send(peers[host_.public_key], Welcome{}));
  EXPECT_TRUE(next(host));
}

TEST_F(GuardedSockets, PublishToThoseWhoMayListen) {
  auto publisher = must(PublisherSocket::bind(context_, "tcp://127.0.0.1:0", server()));
  auto ann = must(SubscriberSocket::connect(context_, publisher.endpoint(), with(ann_)));
  auto host = must(SubscriberSocket::connect(context_, publisher.endpoint(), with(host_)));
  ASSERT_TRUE(ann.subscribe("ann/") && ann.subscribe("bob/"));
  ASSERT_TRUE(host.subscribe("ann/") && host.subscribe(""));
  const auto may = [&](const std::string& key, std::string_view topic) {
    return key == ann_.public_key && topic == "ann/";
  };
  size_t n_passed_over = 0;
  bool heard = false;
  for (int i = 0; i < kRoundsMax && !(heard && n_passed_over >= 3); ++i) {
    n_passed_over += publisher.hear_subscriptions(may).n_passed_over;
    ASSERT_TRUE(publisher.publish("bob/", Partial{"w", {}}));
    ASSERT_TRUE(publisher.publish("ann/", Partial{"w", {}}));
    wait({publisher}, 10ms);
    EXPECT_FALSE(host.receive());  // a socket connects within calls of its owner
    while (const auto published = ann.receive()) {
      EXPECT_EQ(published->topic, "ann/");
      heard = true;
    }
  }
  EXPECT_TRUE(heard);
  EXPECT_EQ(n_passed_over, 3u);
}

// ZeroMQ keeps frames and the connections they came over in two queues. A frame that is no subscription takes
// a connection from the one and has none in it, and the next subscription would be somebody else's.
TEST_F(GuardedSockets, PublishToNobodyElseWhateverIsSentInsteadOfSubscriptions) {
  allow({{Role::kClient, ann_}, {Role::kClient, eve_}});
  ASSERT_TRUE(wait({file_->changed()}, kNever));
  auto publisher = must(PublisherSocket::bind(context_, "tcp://127.0.0.1:0", server()));
  zmq::context_t raw_context;
  zmq::socket_t eve(raw_context, zmq::socket_type::xsub);
  eve.set(zmq::sockopt::linger, 0);
  eve.set(zmq::sockopt::curve_serverkey, broker_.public_key);
  eve.set(zmq::sockopt::curve_publickey, eve_.public_key);
  eve.set(zmq::sockopt::curve_secretkey, eve_.secret_key.reveal());
  eve.connect(publisher.endpoint());

  const auto may = [&](const std::string& key, std::string_view topic) {
    return topic == (key == ann_.public_key ? "ann/" : "eve/");
  };
  size_t n_offences = 0;
  const auto hear = [&] {
    const auto heard = publisher.hear_subscriptions(may);
    for (const std::string& key : heard.offenders) {
      EXPECT_EQ(key, eve_.public_key);
      zap_->shut_out(key, "in a test");
      ++n_offences;
    }
  };
  const auto eve_says = [&](const std::string& frame) {
    ASSERT_TRUE(eve.send(zmq::buffer(frame), zmq::send_flags::none));
  };
  Wake never;
  std::vector<SubscriberSocket> anns;
  for (int round = 0; round < 10; ++round) {
    eve_says("\x02x");
    if (round == 0) {
      ASSERT_TRUE(wait({publisher}, kNever)) << "it came, and is not read yet";
    }
    anns.push_back(must(SubscriberSocket::connect(context_, publisher.endpoint(), with(ann_))));
    ASSERT_TRUE(anns.back().subscribe("ann/"));
    wait({anns.back()}, 50ms);  // a socket connects within calls of its owner
    eve_says(
        "\x01"
        "eve/");
    wait({never}, 10ms);
    wait({publisher}, 0ms);  // ZeroMQ takes all of it into its queues
    hear();
    ASSERT_TRUE(publisher.publish("ann/", Partial{"w", {}}));
    wait({never}, 10ms);
    zmq::message_t stolen;
    ASSERT_FALSE(eve.recv(stolen, zmq::recv_flags::dontwait)) << "in round " << round;
  }
  EXPECT_GE(n_offences, 1u);
  EXPECT_LE(n_offences, 2u) << "she is not let in again for a while";

  // Those whose subscriptions were not believed have come back.
  std::set<size_t> ready;
  for (int i = 0; i < kRoundsMax && ready.size() < anns.size(); ++i) {
    hear();
    ASSERT_TRUE(publisher.publish("ann/", Partial{"w", {}}));
    wait({never}, 10ms);
    for (size_t k = 0; k < anns.size(); ++k) {
      while (anns[k].receive()) ready.insert(k);
    }
  }
  EXPECT_EQ(ready.size(), anns.size());
  ASSERT_TRUE(publisher.publish("ann/", Partial{"from here on", {}}));
  for (int n = 0; n < 100; ++n) {
    hear();
    ASSERT_TRUE(publisher.publish("ann/", Partial{"w" + std::to_string(n), {}}));
  }
  for (SubscriberSocket& ann : anns) {
    std::string worker;
    while (worker != "from here on") worker = std::get<Partial>(*next(ann)->message).worker;
    for (int n = 0; n < 100; ++n) {
      EXPECT_EQ(std::get<Partial>(*next(ann)->message).worker, "w" + std::to_string(n));
    }
  }
}

TEST_F(GuardedSockets, AreOpenToOtherMachinesAndThoseWithoutKeysAreNot) {
  const auto error = [&](const std::string& endpoint, const SocketOptions& options) {
    auto bound = RouterSocket::bind(context_, endpoint, options);
    return bound ? std::string("fine") : bound.error().text;
  };
  EXPECT_EQ(error("tcp://0.0.0.0:0", server()), "fine");
  EXPECT_EQ(error("tcp://*:0", server()), "fine");
  EXPECT_THAT(error("tcp://broker.example:0", server()), HasSubstr("expected an address of this machine"));
  EXPECT_THAT(error("tcp://0.0.0.0:0", {}), HasSubstr("without keys only ipc:// and loopback may be bound"));

  const auto without = DealerSocket::connect(context_, "tcp://192.0.2.1:5555");
  ASSERT_FALSE(without);
  EXPECT_THAT(without.error().text, HasSubstr("expected keys"));
  EXPECT_TRUE(DealerSocket::connect(context_, "tcp://192.0.2.1:5555", with(ann_)));
}

TEST_F(GuardedSockets, ArePlainOnIpcWhereTheFolderGuardsThem) {
  auto router = must(RouterSocket::bind(context_, "ipc://" + (folder_ / "s").string(), server()));
  EXPECT_FALSE(router.is_guarded());
  auto nobody = must(DealerSocket::connect(context_, router.endpoint()));
  auto eve = must(DealerSocket::connect(context_, router.endpoint(), with(eve_)));
  for (DealerSocket* socket : {&nobody, &eve}) {
    ASSERT_TRUE(wait({Waitable::room(*socket)}, kNever) && socket->send(Ready{1}));
    ASSERT_TRUE(next(router));
    EXPECT_EQ(router.sender(), "");
  }
}

// Bytes from anybody on the network, straight to the port.
class Strangers : public GuardedSockets {
 protected:
  // Sends as long as the other side takes it, at most all of it; true when the other side has closed.
  static bool say(const std::string& endpoint, const std::string& bytes) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(parse_endpoint(endpoint)->port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    timeval patience{30, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    size_t n_sent = 0;
    while (n_sent < bytes.size()) {
      const ssize_t n = ::send(fd, bytes.data() + n_sent, bytes.size() - n_sent, MSG_NOSIGNAL);
      if (n <= 0) break;
      n_sent += static_cast<size_t>(n);
    }
    ::shutdown(fd, SHUT_WR);
    // What is answered is read away until the end.
    char buffer[4096];
    ssize_t n = 1;
    while (n > 0) n = ::recv(fd, buffer, sizeof buffer, 0);
    const bool is_closed = n == 0 || errno == ECONNRESET;
    ::close(fd);
    return is_closed;
  }

  static size_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    size_t n_all = 0, n_resident = 0;
    statm >> n_all >> n_resident;
    return n_resident * 4096;
  }

  static std::string greeting(const std::string& mechanism) {
    std::string bytes = "\xff" + std::string(8, '\0') + "\x7f" + "\x03" + std::string(1, '\0') + mechanism;
    bytes.resize(64, '\0');
    return bytes;
  }
};

TEST_F(Strangers, AreDroppedAndDoNoHarm) {
  auto router = must(RouterSocket::bind(context_, "tcp://127.0.0.1:0", server()));
  auto ann = must(DealerSocket::connect(context_, router.endpoint(), with(ann_)));
  ASSERT_TRUE(wait({Waitable::room(ann)}, kNever) && ann.send(Ready{1}));
  ASSERT_TRUE(next(router));
  const size_t before = resident_bytes();

  constexpr uint32_t kSeed = 4711;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937 random(kSeed);
  std::string noise(1 << 20, '\0');
  const std::string frame_of_8_mib = "\x02" + std::string(5, '\0') + "\x80" + std::string(2, '\0');
  for (int round = 0; round < 20; ++round) {
    for (char& byte : noise) byte = static_cast<char>(random());
    const std::vector<std::string> speeches = {
        "",
        "GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
        noise,
        greeting("CURVE").substr(0, 1 + random() % 63),
        greeting("NULL") + noise,
        greeting("CURVE") + noise,
        greeting("CURVE") + frame_of_8_mib + std::string(8 << 20, 'x'),
        // A frame of 2^63 bytes, and one that is a command of a gigabyte.
        greeting("CURVE") + "\x02\x7f" + std::string(7, '\xff') + noise,
        greeting("CURVE") + "\x06" + std::string(4, '\0') + "\x40" + std::string(3, '\0') + noise,
        greeting("CURVE") + "\x04\xc8\x05HELLO" + std::string(194, 'x'),
    };
    for (size_t i = 0; i < speeches.size(); ++i) {
      EXPECT_TRUE(say(router.endpoint(), speeches[i])) << "round " << round << " speech " << i;
    }
  }
  EXPECT_FALSE(router.receive());
  EXPECT_LT(resident_bytes(), before + (64u << 20));

  ASSERT_TRUE(ann.send(Ready{2}));
  const auto message = next(router);
  ASSERT_TRUE(message && message->message) << "those who were there before are served as before";
  EXPECT_EQ(*message->message, Message(Ready{2}));
  auto host = must(DealerSocket::connect(context_, router.endpoint(), with(host_)));
  ASSERT_TRUE(wait({Waitable::room(host)}, kNever) && host.send(Ready{3}));
  EXPECT_TRUE(next(router));
}

}  // namespace
}  // namespace tandem

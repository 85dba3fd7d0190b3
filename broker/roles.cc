#include "broker/roles.h"

#include <string>
#include <type_traits>
#include <variant>

#include "shared/protocol/frames.h"

namespace tandem::broker {
namespace {

// Whose word a message is.
enum class Speaker { kClient, kAdmin, kWorker, kBroker };

struct SpeakerOf {
  Speaker operator()(const Submit&) const { return Speaker::kClient; }
  Speaker operator()(const Fetch&) const { return Speaker::kClient; }
  Speaker operator()(const Cancel&) const { return Speaker::kClient; }
  Speaker operator()(const Status&) const { return Speaker::kClient; }
  Speaker operator()(const Collect&) const { return Speaker::kClient; }
  Speaker operator()(const Acknowledge&) const { return Speaker::kClient; }
  Speaker operator()(const List&) const { return Speaker::kClient; }
  Speaker operator()(const Inspect&) const { return Speaker::kClient; }

  Speaker operator()(const Revive&) const { return Speaker::kAdmin; }
  Speaker operator()(const Forget&) const { return Speaker::kAdmin; }
  Speaker operator()(const Drain&) const { return Speaker::kAdmin; }

  Speaker operator()(const Hello&) const { return Speaker::kWorker; }
  Speaker operator()(const Ready&) const { return Speaker::kWorker; }
  Speaker operator()(const Heartbeat&) const { return Speaker::kWorker; }
  Speaker operator()(const Goodbye&) const { return Speaker::kWorker; }
  Speaker operator()(const Returned&) const { return Speaker::kWorker; }
  Speaker operator()(const ResultMessage&) const { return Speaker::kWorker; }
  Speaker operator()(const Partial&) const { return Speaker::kWorker; }

  Speaker operator()(const Accepted&) const { return Speaker::kBroker; }
  Speaker operator()(const Fetched&) const { return Speaker::kBroker; }
  Speaker operator()(const StatusReply&) const { return Speaker::kBroker; }
  Speaker operator()(const Refused&) const { return Speaker::kBroker; }
  Speaker operator()(const Welcome&) const { return Speaker::kBroker; }
  Speaker operator()(const WhoAreYou&) const { return Speaker::kBroker; }
  Speaker operator()(const Job&) const { return Speaker::kBroker; }
  Speaker operator()(const Recall&) const { return Speaker::kBroker; }
  Speaker operator()(const Listed&) const { return Speaker::kBroker; }
  Speaker operator()(const Inspected&) const { return Speaker::kBroker; }
};

Result<void> check_client_name(const PeerName& sender, std::string& client) {
  if (client.empty()) client = sender.name;
  if (client == sender.name) return {};
  return fail(ErrorCode::kInvalid,
              "client: expected '" + sender.name + "', which is the name of its key, found '" + client + "'");
}

Result<void> check_worker_name(const PeerName& sender, const std::string& worker) {
  if (speaks_for(sender.name, worker)) return {};
  return fail(ErrorCode::kInvalid, "worker: expected '" + sender.name +
                                       "', which is the name of its key, or '" + sender.name + "-...' or '" +
                                       sender.name + "....', found '" + worker + "'");
}

}  // namespace

bool may(Role role, const Message& message) {
  switch (std::visit(SpeakerOf{}, message)) {
    case Speaker::kClient:
      return role == Role::kClient || role == Role::kAdmin;
    case Speaker::kAdmin:
      return role == Role::kAdmin;
    case Speaker::kWorker:
      return role == Role::kWorker;
    case Speaker::kBroker:
      return false;
  }
  return false;
}

Result<void> check_sender(const PeerName& sender, Message& message) {
  if (!may(sender.role, message)) {
    return fail(ErrorCode::kInvalid, "expected a key whose role may send " + std::string(kind_name(message)) +
                                         ", found the key of '" + sender.name + "' with the role " +
                                         std::string(to_string(sender.role)));
  }
  return std::visit(
      [&](auto& said) -> Result<void> {
        constexpr bool kIsSubmit = std::is_same_v<std::remove_reference_t<decltype(said)>, Submit>;
        if constexpr (requires { said.client; }) {
          if (sender.role == Role::kAdmin && !kIsSubmit) return {};
          return check_client_name(sender, said.client);
        } else if constexpr (requires { said.worker; }) {
          return check_worker_name(sender, said.worker);
        } else {
          return {};
        }
      },
      message);
}

std::string only_client(const PeerName& sender) {
  return sender.role == Role::kClient ? sender.name : "";
}

bool may_subscribe(const PeerName& sender, std::string_view topic) {
  if (sender.role == Role::kAdmin) return true;
  return sender.role == Role::kClient && topic == sender.name + "/";
}

}  // namespace tandem::broker

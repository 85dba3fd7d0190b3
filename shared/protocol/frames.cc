#include "shared/protocol/frames.h"

#include <limits>
#include <optional>

#include "shared/protocol/fields.h"
#include "shared/protocol/reader.h"
#include "shared/protocol/writer.h"

namespace tandem {
namespace {

class FieldCounter {
 public:
  template <typename... Args>
  void number(Args&&...) {
    ++n_fields_;
  }
  void boolean(std::string_view, bool) { ++n_fields_; }
  void text(std::string_view, const std::string&) { ++n_fields_; }
  void own_name(std::string_view, const std::string&) { ++n_fields_; }
  void names(std::string_view, const std::vector<std::string>&, size_t) { ++n_fields_; }
  void id(std::string_view, const JobId&) { ++n_fields_; }
  void ids(std::string_view, const std::vector<JobId>&) { ++n_fields_; }
  void state(std::string_view, JobState) { ++n_fields_; }
  void urgency(std::string_view, Urgency) { ++n_fields_; }
  void error(std::string_view, const Error&) { ++n_fields_; }
  void payload(std::string_view, const Bytes&) { ++n_fields_; }
  template <typename T>
  void item(std::string_view, const T&) {
    ++n_fields_;
  }
  template <typename T>
  void items(std::string_view, const std::vector<T>&) {
    ++n_fields_;
  }

  size_t n_fields() const { return n_fields_; }

 private:
  size_t n_fields_ = 0;
};

template <typename M>
size_t count_fields() {
  static const size_t n_fields = [] {
    FieldCounter counter;
    const M message;
    wire::fields(counter, message);
    return counter.n_fields();
  }();
  return n_fields;
}

std::string_view id_bytes(const JobId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

class EnvelopeWriter {
 public:
  explicit EnvelopeWriter(Frames& frames) : payload_(frames.payload) {}

  template <typename T>
  void number(std::string_view, T value, uint64_t = 0) {
    out_.number(value);
  }
  void boolean(std::string_view, bool value) { out_.boolean(value); }
  void text(std::string_view, const std::string& value) { out_.text(value); }
  void own_name(std::string_view, const std::string& value) { out_.text(value); }
  void names(std::string_view, const std::vector<std::string>& values, size_t) {
    out_.array(values.size());
    for (const std::string& value : values) out_.text(value);
  }
  void id(std::string_view, const JobId& id) { out_.bytes(id_bytes(id)); }
  void ids(std::string_view, const std::vector<JobId>& ids) {
    out_.array(ids.size());
    for (const JobId& id : ids) out_.bytes(id_bytes(id));
  }
  void state(std::string_view, JobState state) { out_.number(static_cast<uint64_t>(state)); }
  void urgency(std::string_view, Urgency urgency) { out_.number(static_cast<uint64_t>(urgency)); }
  void error(std::string_view, const Error& error) { out_.error(error); }
  void payload(std::string_view, const Bytes& bytes) {
    out_.number(bytes.size());
    payload_ += bytes.view();
  }
  template <typename T>
  void item(std::string_view, const T& value) {
    message(value);
  }
  template <typename T>
  void items(std::string_view, const std::vector<T>& items) {
    out_.array(items.size());
    for (const T& item : items) message(item);
  }

  template <typename M>
  void message(const M& message) {
    out_.array(count_fields<M>());
    wire::fields(*this, message);
  }

  std::string take() { return out_.take(); }

 private:
  Writer out_;
  std::string& payload_;
};

class EnvelopeReader {
 public:
  EnvelopeReader(std::string_view kind, std::string_view envelope, const Bytes& payload)
      : in_(envelope, kind), payload_(payload) {}

  template <typename T>
  void number(std::string_view name, T& value, uint64_t max = std::numeric_limits<T>::max()) {
    const Reader::Scope scope(in_, name);
    value = static_cast<T>(in_.number(max));
  }
  void boolean(std::string_view name, bool& value) {
    const Reader::Scope scope(in_, name);
    value = in_.boolean();
  }
  void text(std::string_view name, std::string& value) {
    const Reader::Scope scope(in_, name);
    value = in_.text(0, limits::kNameBytesMax);
  }
  // Results are published under "<client>/": with a '/' in a name, one client would hear another's.
  void own_name(std::string_view name, std::string& value) {
    const Reader::Scope scope(in_, name);
    value = in_.text(1, limits::kNameBytesMax);
    for (const char c : value) {
      if (c != '/' && static_cast<uint8_t>(c) >= 0x20 && c != 0x7f) continue;
      in_.fail(ErrorCode::kInvalid,
               "expected a name without '/' and control characters, found '" + value + "'");
      return;
    }
  }
  void names(std::string_view name, std::vector<std::string>& values, size_t max) {
    const Reader::Scope scope(in_, name);
    read_array(in_, max, [&](size_t) { values.emplace_back(in_.text(1, limits::kNameBytesMax)); });
  }
  void id(std::string_view name, JobId& id) {
    const Reader::Scope scope(in_, name);
    id = in_.id();
  }
  void ids(std::string_view name, std::vector<JobId>& ids) {
    const Reader::Scope scope(in_, name);
    read_array(in_, limits::kItemsPerMessageMax, [&](size_t) { ids.push_back(in_.id()); });
  }
  void state(std::string_view name, JobState& state) {
    const Reader::Scope scope(in_, name);
    state = static_cast<JobState>(in_.number(static_cast<uint64_t>(kJobStateLast)));
  }
  void urgency(std::string_view name, Urgency& urgency) {
    const Reader::Scope scope(in_, name);
    urgency = static_cast<Urgency>(in_.number(static_cast<uint64_t>(Urgency::kInteractive)));
  }
  void error(std::string_view name, Error& error) {
    const Reader::Scope scope(in_, name);
    error = in_.error();
  }
  void payload(std::string_view name, Bytes& bytes) {
    const Reader::Scope scope(in_, name);
    const uint64_t size = in_.number();
    if (!in_.ok()) return;
    const size_t n_left = payload_.size() - payload_used_;
    if (size > limits::kPayloadBytesMax) {
      in_.fail(ErrorCode::kTooLong, "expected a payload of at most " +
                                        std::to_string(limits::kPayloadBytesMax) + " bytes, found " +
                                        std::to_string(size));
    } else if (size > n_left) {
      in_.fail(ErrorCode::kInvalid, "expected " + std::to_string(size) +
                                        " bytes in the payload frame, found " + std::to_string(n_left) +
                                        " left");
    } else if (size > 0) {
      bytes = payload_.slice(payload_used_, size);
      payload_used_ += size;
    }
  }
  template <typename T>
  void item(std::string_view name, T& value) {
    const Reader::Scope scope(in_, name);
    message(value);
  }
  template <typename T>
  void items(std::string_view name, std::vector<T>& items) {
    const Reader::Scope scope(in_, name);
    read_array(in_, limits::kItemsPerMessageMax, [&](size_t) { message(items.emplace_back()); });
  }

  template <typename M>
  void message(M& message) {
    const size_t n_found = in_.array(kFieldsMax);
    if (in_.ok() && n_found < count_fields<M>()) {
      in_.fail(ErrorCode::kInvalid,
               "expected " + std::to_string(count_fields<M>()) + " fields, found " + std::to_string(n_found));
    }
    wire::fields(*this, message);
    for (size_t i = count_fields<M>(); i < n_found && in_.ok(); ++i) in_.skip();
  }

  Result<void> finish() {
    in_.end();
    if (in_.ok() && payload_used_ < payload_.size()) {
      in_.fail(ErrorCode::kInvalid, "expected payloads as long as the payload frame, found " +
                                        std::to_string(payload_.size() - payload_used_) +
                                        " bytes more in the frame");
    }
    if (!in_.ok()) return fail(in_.failure());
    return {};
  }

 private:
  static constexpr size_t kFieldsMax = 256;

  Reader in_;
  const Bytes& payload_;
  size_t payload_used_ = 0;
};

template <typename M>
Result<Message> decode_as(std::string_view envelope, const Bytes& payload) {
  EnvelopeReader reader(wire::Kind<M>::name, envelope, payload);
  M message;
  reader.message(message);
  TANDEM_TRY(reader.finish());
  return message;
}

template <typename Variant>
struct Kinds;
template <typename... Ms>
struct Kinds<std::variant<Ms...>> {
  // Nothing when no kind has this number.
  static std::optional<Result<Message>> decode(uint8_t number, std::string_view envelope,
                                               const Bytes& payload) {
    std::optional<Result<Message>> found;
    ((number == wire::Kind<Ms>::number ? void(found = decode_as<Ms>(envelope, payload)) : void()), ...);
    return found;
  }

  static bool has_request(uint8_t number) {
    return ((number == wire::Kind<Ms>::number && requires(Ms message) { message.request; }) || ...);
  }
};

}  // namespace

Frames encode(const Message& message) {
  Frames frames;
  std::visit(
      [&]<typename M>(const M& kind) {
        frames.head = {static_cast<char>(kProtocolVersion), static_cast<char>(wire::Kind<M>::number)};
        EnvelopeWriter writer(frames);
        writer.message(kind);
        frames.envelope = writer.take();
      },
      message);
  return frames;
}

Frames encode(const Refused& refused, uint8_t version) {
  Frames frames = encode(Message(refused));
  frames.head[0] = static_cast<char>(version);
  return frames;
}

uint64_t request_of(std::string_view head, std::string_view envelope) {
  if (version_of(head) != kProtocolVersion) return 0;
  if (!Kinds<Message>::has_request(static_cast<uint8_t>(head[1]))) return 0;
  Reader in(envelope, "");
  if (in.array(envelope.size()) == 0) return 0;
  return in.number();  // the first field of every kind that has it
}

uint8_t version_of(std::string_view head) {
  return head.size() == 2 ? static_cast<uint8_t>(head[0]) : uint8_t{0};
}

Result<Message> decode(std::string_view head, std::string_view envelope, const Bytes& payload) {
  if (head.size() != 2) {
    return fail(ErrorCode::kInvalid,
                "expected a head of 2 bytes (version, kind), found " + std::to_string(head.size()));
  }
  const uint8_t version = static_cast<uint8_t>(head[0]), kind = static_cast<uint8_t>(head[1]);
  if (version != kProtocolVersion && kind != wire::Kind<Refused>::number) {
    return fail(ErrorCode::kUnsupported, "expected protocol version " + std::to_string(kProtocolVersion) +
                                             ", found " + std::to_string(version));
  }
  if (envelope.size() > limits::kMessageBytesMax ||
      payload.size() > limits::kMessageBytesMax - envelope.size()) {
    return fail(ErrorCode::kTooLong, "expected a message of at most " +
                                         std::to_string(limits::kMessageBytesMax) + " bytes, found " +
                                         std::to_string(envelope.size() + payload.size()));
  }
  if (auto message = Kinds<Message>::decode(kind, envelope, payload)) return std::move(*message);
  return fail(ErrorCode::kUnsupported, "expected a kind of message of protocol version " +
                                           std::to_string(kProtocolVersion) + ", found number " +
                                           std::to_string(kind));
}

std::string_view kind_name(const Message& message) {
  return std::visit([]<typename M>(const M&) { return wire::Kind<M>::name; }, message);
}

}  // namespace tandem

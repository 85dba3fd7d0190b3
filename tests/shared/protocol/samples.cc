#include "tests/shared/protocol/samples.h"

#include <limits>

#include "shared/protocol/fields.h"

namespace tandem::testing {
namespace {

JobId id(uint8_t n) {
  JobId made;
  for (size_t i = 0; i < made.bytes.size(); ++i) made.bytes[i] = static_cast<uint8_t>(n + i);
  return made;
}

template <typename T>
T pick(std::mt19937_64& random, T max) {
  // Small numbers as often as large ones: each width has its own encoding.
  const uint64_t bits = random() % 65;
  const uint64_t any = bits == 64 ? random() : random() & ((uint64_t{1} << bits) - 1);
  return max == std::numeric_limits<T>::max() ? static_cast<T>(any)
                                              : static_cast<T>(any % (uint64_t{max} + 1));
}

std::string random_text(std::mt19937_64& random, size_t bytes_min, size_t bytes_max) {
  const std::vector<std::string> characters = {"a", "Z", "0", "-", " ", "é", "界", "😄"};
  std::string text;
  const size_t n_bytes = bytes_min + random() % (bytes_max - bytes_min + 1);
  while (text.size() < n_bytes) {
    const std::string& next = characters[random() % characters.size()];
    text += text.size() + next.size() <= bytes_max ? next : "x";
  }
  return text;
}

std::string random_bytes(std::mt19937_64& random, size_t n_bytes) {
  std::string bytes(n_bytes, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

Error random_error(std::mt19937_64& random) {
  return {*error_code_from(1 + random() % 14), random_text(random, 0, 40)};
}

// Walks the fields of a message like those who write and read it.
class Filler {
 public:
  explicit Filler(std::mt19937_64& random) : random_(random) {}

  template <typename T>
  void number(std::string_view, T& value, uint64_t max = std::numeric_limits<T>::max()) {
    value = pick<T>(random_, static_cast<T>(max));
  }
  void boolean(std::string_view, bool& value) { value = random_() % 2 == 0; }
  void text(std::string_view, std::string& value) { value = random_text(random_, 0, limits::kNameBytesMax); }
  void own_name(std::string_view, std::string& value) {
    value = random_text(random_, 1, limits::kNameBytesMax);
  }
  void names(std::string_view, std::vector<std::string>& values, size_t) {
    for (size_t n = random_() % 5; n > 0; --n) {
      values.push_back(random_text(random_, 1, limits::kNameBytesMax));
    }
  }
  void id(std::string_view, JobId& id) {
    for (uint8_t& byte : id.bytes) byte = static_cast<uint8_t>(random_());
  }
  void ids(std::string_view name, std::vector<JobId>& ids) {
    ids.resize(random_() % 40);
    for (JobId& one : ids) id(name, one);
  }
  void state(std::string_view, JobState& state) { state = pick_enum(kJobStateLast); }
  void urgency(std::string_view, Urgency& urgency) { urgency = pick_enum(Urgency::kInteractive); }
  void error(std::string_view, Error& error) { error = random_error(random_); }
  void payload(std::string_view, Bytes& bytes) { bytes = random_bytes(random_, random_() % 300); }
  template <typename T>
  void item(std::string_view, T& value) {
    wire::fields(*this, value);
  }
  template <typename T>
  void items(std::string_view, std::vector<T>& items) {
    items.resize(random_() % 20);
    for (T& item : items) wire::fields(*this, item);
  }

 private:
  template <typename E>
  E pick_enum(E last) {
    return static_cast<E>(random_() % (static_cast<uint64_t>(last) + 1));
  }

  std::mt19937_64& random_;
};

template <size_t... kinds>
Message message_of_kind(size_t kind, std::index_sequence<kinds...>) {
  Message message;
  ((kind == kinds ? void(message = std::variant_alternative_t<kinds, Message>{}) : void()), ...);
  return message;
}

}  // namespace

std::vector<Message> sample_messages() {
  const Error error{ErrorCode::kTooLong, "expected 10 bytes, found 11"};
  const JobStatus leased{
      id(4), "alice", JobState::kLeased, 2, 1500, "ann", Urgency::kInteractive, 9, 300, 1200, 1, 2, 3};
  return {
      Submit{7,
             "alice",
             {{id(1), 0x1122334455667788, 300, 3, "first", Urgency::kInteractive, 9, 1500, 60000},
              {id(2), 5, 70000, 100, "second", Urgency::kBulk, 0, 0, limits::kDelayMsMax}}},
      Accepted{7,
               {{id(1), JobState::kDone, {}, 0},
                {id(2), JobState::kUnknown, {ErrorCode::kFull, "expected room, found none"}, 2000}}},
      Fetch{8, {id(1), id(2)}},
      Fetched{8, {{id(1), JobState::kDone, 1, {}, "answer"}, {id(2), JobState::kDead, 3, error, ""}}},
      Cancel{9, {id(3)}},
      Status{10},
      StatusReply{10,
                  1,
                  2,
                  3,
                  4,
                  5,
                  6,
                  7,
                  8,
                  9,
                  11,
                  12,
                  13,
                  14,
                  15,
                  {{"ann", "host-a", "f00d", 16, 2, 1000, 8192, 700, true, 250, {"sentiment", "reply"}}},
                  {{"alice", 3, 4096, 5}}},
      Refused{11, error},
      Collect{12, "alice", 64},
      Acknowledge{"alice", {id(1), id(2)}},
      Revive{13, {id(3)}},
      Forget{14, {id(3), id(4)}},
      List{15, true, "alice", 77, 100},
      Listed{15, {leased}},
      Inspect{16, id(4)},
      Inspected{16, leased, error, "asked", "answered"},
      Drain{17, "host-a", false},
      Hello{"ann", "host-a", "f00d", 16, {"sentiment", "reply"}, {{id(5), 2}}, 8192, 4},
      Welcome{30000, 5000},
      WhoAreYou{},
      Ready{4, 2048, 1},
      Heartbeat{{{id(6), 1}, {id(7), 2}}},
      Goodbye{},
      Job{30000, {{id(8), 2, "request", Urgency::kInteractive, 45000}}},
      Recall{{id(8), id(9)}},
      Returned{{{id(8), 2}}},
      ResultMessage{"ann", {{id(9), 2, {}, false, "result"}, {id(10), 1, error, true, ""}}},
      Partial{"ann", {{id(11), 1, "part"}}},
  };
}

Message random_message(std::mt19937_64& random) {
  Message message = message_of_kind(random() % std::variant_size_v<Message>,
                                    std::make_index_sequence<std::variant_size_v<Message>>());
  Filler filler(random);
  std::visit([&](auto& kind) { wire::fields(filler, kind); }, message);
  return message;
}

JobRequest sample_request() {
  JobRequest request;
  request.text = "服务很好 😄";
  request.history = {{"user", "hi"}, {"assistant", "hello"}};
  request.tasks = {"sentiment", "reply"};
  request.variables = {{"target", "French"}};
  request.decode.tokens_max = 64;
  request.decode.temperature = 0.5;
  request.decode.top_k = 40;
  request.decode.top_p = 0.9;
  request.decode.repetition_penalty = 1.1;
  request.decode.no_repeat_ngram = 6;
  request.decode.seed = 42;
  request.decode.stop = {{"\n", "。"}};
  request.accept = AcceptSource::kExact;
  request.store = false;
  request.stream = true;
  request.cache_namespace = "shop";
  return request;
}

JobResult sample_result() {
  TaskResult label;
  label.task = "sentiment";
  label.label =
      LabelAnswer{"positive", "😄 Positive", 0.75, 0.5, {{"positive", 0.75}, {"negative", 0.25}}, ""};
  label.source = AnswerSource::kSemantic;
  label.similarity = 0.97;
  label.usage = {30, 16, 14, 0};
  label.timings = {10, 2000, 0, 2100};
  label.task_version = 1;
  label.task_fingerprint = "0a";
  label.model_fingerprint = "0b";
  label.batch_size = 8;
  label.worker = "ann";

  TaskResult text = label;
  text.task = "reply";
  text.label.reset();
  text.text = TextAnswer{"谢谢!", "stop"};
  text.source = AnswerSource::kModel;
  text.similarity = 0;

  TaskResult failed = text;
  failed.task = "translate";
  failed.text.reset();
  failed.error = Error{ErrorCode::kTooLong, "expected at most 1024 tokens, found 2000"};
  return {{label, text, failed}};
}

JobPart sample_part() {
  return {1, "谢", sample_result().tasks[1]};
}

JobRequest random_request(std::mt19937_64& random) {
  JobRequest request;
  request.text = random_text(random, 0, 400);
  for (size_t n = random() % 5; n > 0; --n) {
    request.history.push_back({n % 2 == 0 ? "user" : "assistant", random_text(random, 0, 100)});
  }
  for (size_t n = 1 + random() % 4; n > 0; --n) request.tasks.push_back(random_text(random, 1, 128));
  for (size_t n = random() % 4; n > 0; --n) {
    request.variables[random_text(random, 1, 128)] = random_text(random, 0, 200);
  }
  const auto maybe = [&] { return random() % 2 == 0; };
  if (maybe()) request.decode.tokens_max = pick<uint32_t>(random, UINT32_MAX);
  if (maybe()) request.decode.temperature = static_cast<double>(random() % 200) / 64;
  if (maybe()) request.decode.top_k = pick<uint32_t>(random, UINT32_MAX);
  if (maybe()) request.decode.top_p = static_cast<double>(random() % 65) / 64;
  if (maybe()) request.decode.repetition_penalty = static_cast<double>(random() % 200) / 64;
  if (maybe()) request.decode.no_repeat_ngram = pick<uint32_t>(random, UINT32_MAX);
  if (maybe()) request.decode.seed = random();
  if (maybe()) request.decode.stop = {{random_text(random, 1, 256)}};
  request.accept = static_cast<AcceptSource>(random() % 3);
  request.store = maybe();
  request.stream = maybe();
  request.cache_namespace = random_text(random, 0, 128);
  return request;
}

JobResult random_result(std::mt19937_64& random) {
  JobResult result;
  for (size_t n = random() % 5; n > 0; --n) {
    TaskResult& task = result.tasks.emplace_back();
    task.task = random_text(random, 1, 128);
    switch (random() % 3) {
      case 0:
        task.label.emplace();
        task.label->label = random_text(random, 0, 128);
        task.label->probability = static_cast<double>(random() % 65) / 64;
        task.label->reason = random_text(random, 0, 20);
        for (size_t k = random() % 4; k > 0; --k)
          task.label->scores.push_back({random_text(random, 0, 128), 0.5});
        break;
      case 1:
        task.text = TextAnswer{random_text(random, 0, 500), "length"};
        break;
      default:
        task.error = random_error(random);
    }
    task.source = static_cast<AnswerSource>(random() % 3);
    task.cut = random() % 2 == 0;
    task.pieces = random() % 2 == 0 ? 0 : pick<uint32_t>(random, UINT32_MAX);
    task.usage = {pick<uint32_t>(random, UINT32_MAX), 1, 2, 3};
    task.timings = {random(), pick<uint64_t>(random, UINT64_MAX), 2, 3};
    task.worker = random_text(random, 0, 128);
  }
  return result;
}

std::string to_hex(std::string_view bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    text += kHex[static_cast<uint8_t>(byte) >> 4];
    text += kHex[static_cast<uint8_t>(byte) & 15];
  }
  return text;
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

}  // namespace tandem::testing

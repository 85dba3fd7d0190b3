#include "tests/tokenizer/golden.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>

#include "shared/base/file.h"

namespace tandem::engine::golden {

std::string read_text(const std::filesystem::path& path) {
  auto text = read_file(path, 64u << 20);
  EXPECT_TRUE(text) << (text ? "" : text.error().text);
  return text ? *std::move(text) : std::string();
}

nlohmann::json read_json(const std::filesystem::path& path) {
  return nlohmann::json::parse(read_text(path));
}

nlohmann::ordered_json read_ordered_json(const std::filesystem::path& path) {
  return nlohmann::ordered_json::parse(read_text(path));
}

Chat chat_of(const nlohmann::ordered_json& chat_case) {
  const auto written = [](const nlohmann::ordered_json& value) {
    const auto text = to_template_json(value.dump());
    EXPECT_TRUE(text) << (text ? "" : text.error().text);
    return text.value_or("");
  };
  Chat chat;
  for (const auto& m : chat_case["messages"]) {
    chat.messages.push_back({m["role"], m["content"]});
    for (const auto& call : m.value("tool_calls", nlohmann::ordered_json::array())) {
      const auto& function = call["function"];
      chat.messages.back().tool_calls.push_back({function["name"], written(function["arguments"])});
    }
  }
  for (const auto& tool : chat_case.value("tools", nlohmann::ordered_json::array())) {
    chat.tools.push_back(written(tool));
  }
  return chat;
}

const Tokenizer& tiny_tokenizer() {
  static const Result<Tokenizer> tokenizer = Tokenizer::load(kFolder / "models/qwen2-tiny-f32");
  if (!tokenizer) {
    std::fprintf(stderr, "%s\n", tokenizer.error().text.c_str());
    std::abort();
  }
  return *tokenizer;
}

std::filesystem::path shared_folder() {
  const char* folder = std::getenv("TANDEM_SHARED");
  return std::filesystem::path(folder != nullptr ? folder : "../../shared") / "golden";
}

const Tokenizer* real_tokenizer(const std::string& name) {
  static std::map<std::string, std::unique_ptr<Tokenizer>> loaded;
  const auto packed = shared_folder() / "tokenizers" / name / "tokenizer.json.gz";
  if (!std::filesystem::exists(packed)) return nullptr;
  std::unique_ptr<Tokenizer>& tokenizer = loaded[name];
  if (tokenizer == nullptr) {
    std::string text;
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
        ::popen(("gzip -dc '" + packed.string() + "'").c_str(), "r"), ::pclose);
    std::array<char, 65536> buffer{};
    while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe.get()))
      text.append(buffer.data(), n);
    auto parsed = Tokenizer::parse(text);
    if (!parsed) {
      std::fprintf(stderr, "%s: %s\n", packed.c_str(), parsed.error().text.c_str());
      std::abort();
    }
    tokenizer = std::make_unique<Tokenizer>(*std::move(parsed));
  }
  return tokenizer.get();
}

void expect_cases(const Tokenizer& tokenizer, const nlohmann::json& cases) {
  ASSERT_EQ(cases.size(), 326u);
  for (const auto& c : cases) {
    SCOPED_TRACE(c["case"].get<std::string>() + " " + c["text"].dump().substr(0, 100));
    const auto text = c["text"].get<std::string>();
    const auto ids = c["ids"].get<Tokens>();
    EXPECT_EQ(tokenizer.encode(text), ids);
    EXPECT_EQ(tokenizer.encode_plain(text), c.value("ids_plain", ids));

    const auto decoded = c.value("decoded", text);
    EXPECT_EQ(tokenizer.decode(ids, false), decoded);
    EXPECT_EQ(tokenizer.decode(ids, true), c.value("decoded_skip_special", decoded));
  }
}

}  // namespace tandem::engine::golden

// What the tests of tasks share: the real tokenizer of a tiny model, and tasks written as people write them.

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "worker/engine/tokenizer/chat_template.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/tasks/task.h"

namespace tandem::testing {

inline const engine::Tokenizer& tiny_tokenizer() {
  static const auto tokenizer = engine::Tokenizer::load("data/golden/models/qwen2-tiny-f32");
  EXPECT_TRUE(tokenizer) << tokenizer.error().text;
  return *tokenizer;
}

// Without a default system prompt, so that a prompt has what the task says and nothing else.
inline const engine::ChatTemplate& plain_chat() {
  static const engine::ChatTemplate chat{std::string()};
  return chat;
}

inline Task parsed(const std::string& toml, const std::string& name = "task") {
  auto task = parse_task(toml, name, name + ".toml");
  EXPECT_TRUE(task) << task.error().text;
  return task ? std::move(*task) : Task{};
}

// The mistakes that a task file is told of; "" when it is good.
inline std::string mistakes(const std::string& toml, const std::string& name = "task") {
  const auto task = parse_task(toml, name, name + ".toml");
  return task ? "" : task.error().text;
}

// A good file of the fewest words.
inline const char* const kEcho = R"(version = 1
[prompt]
user = "{text}"
[answer]
kind = "text"
)";

}  // namespace tandem::testing

// Ends a text at the first stop string, wherever the tokens happen to be cut.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tandem::engine {

// One per sequence. Text goes in as it is decoded; what may still turn out to be the beginning of a stop
// string is held back.
class StopStrings {
 public:
  explicit StopStrings(std::vector<std::string> stops);

  struct Step {
    std::string text;      // certain now: safe to publish
    bool stopped = false;  // a stop string is complete; it and all after it are cut off
  };
  // After `stopped` further text is dropped. When several stops match, the one that begins first wins.
  Step push(std::string_view text);
  // The held-back rest, when the sequence ends for another reason.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

// Tells a decode that has begun to loop: the last tokens are one pattern of `period_max` tokens or fewer,
// repeated so often that it is not language any more (see the .cc for the numbers). Pure.
bool is_looping(const std::vector<int32_t>& generated);

}  // namespace tandem::engine

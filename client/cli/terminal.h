// A screen of its own on a terminal, for a verb that redraws it.

#pragma once

#include <termios.h>
#include <string>

#include "shared/base/clock.h"

namespace tandem::cli {

struct ScreenSize {
  size_t width = 80, height = 24;
  bool operator==(const ScreenSize&) const = default;
};

// From its making to its end: the alternate screen, no cursor, keys at once and without echo. Ctrl-C is still
// a signal.
class Screen {
 public:
  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // Both ends are terminals.
  static bool possible();
  ScreenSize size() const;
  // In place of what was there, without flicker. Lines end in "\n".
  void draw(const std::string& frame);
  // A key, if one comes within `at_most`; 0 else, also after a signal.
  char key(Duration at_most);

 private:
  termios before_{};
};

}  // namespace tandem::cli

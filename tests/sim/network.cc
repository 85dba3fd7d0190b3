#include "tests/sim/network.h"

#include <algorithm>
#include <utility>

#include "shared/protocol/frames.h"

namespace tandem::broker::sim {

Message Network::through_the_codec(const Message& message) {
  const Frames frames = encode(message);
  auto decoded = decode(frames.head, frames.envelope, frames.payload);
  if (!decoded) {
    world_.wrong("a message of ours cannot be read: " + decoded.error().text);
    return message;
  }
  if (!(*decoded == message)) {
    world_.wrong("a " + std::string(kind_name(message)) + " is another one after encoding and decoding");
  }
  return std::move(*decoded);
}

void Network::post(std::vector<Letter>& way, const Address& address, const Message& message) {
  Message sent = through_the_codec(message);
  if (world_.accident(world_.config.loss)) return;
  if (!world_.is_storm()) {
    // Behind all that is under way: nothing overtakes.
    TimePoint arrives = world_.now + milliseconds(10);
    for (const Letter& other : way) arrives = std::max(arrives, other.arrives);
    way.push_back({arrives, address, std::move(sent)});
    return;
  }
  // Mostly quick: a storm in which every message is late has few encounters.
  const auto late = [&] { return world_.chance(0.7) ? world_.between(0, 120) : world_.between(0, 2'000); };
  if (world_.chance(world_.config.repeat)) way.push_back({world_.now + late(), address, sent});
  way.push_back({world_.now + late(), address, std::move(sent)});
}

std::vector<Event> Network::take(std::vector<Letter>& way) {
  std::stable_sort(way.begin(), way.end(),
                   [](const Letter& a, const Letter& b) { return a.arrives < b.arrives; });
  std::vector<Event> events;
  auto letter = way.begin();
  for (; letter != way.end() && letter->arrives <= world_.now; ++letter) {
    events.push_back({std::move(letter->address), std::move(letter->message)});
  }
  way.erase(way.begin(), letter);
  return events;
}

}  // namespace tandem::broker::sim

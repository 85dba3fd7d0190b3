// All jobs that are known, finished ones too until they are forgotten: found by id, kept in slots.

#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "broker/job_record.h"
#include "shared/base/hash.h"

namespace tandem::broker {

// Slots of records, found by a key that the records have. Open addressing with linear probing. A place holds
// a part of the key's hash beside the slot, so that a search looks at one record, the right one: the others
// would each be a miss of the CPU's caches. In segments that grow one by one, because a table of ten million
// that grew in one piece would hold up a turn for a third of a second.
template <typename Traits>
class SlotIndex {
 public:
  using Key = typename Traits::Key;

  explicit SlotIndex(Traits traits = {}) : traits_(traits) {}

  // kNoSlot if no record has this key. `at(slot)` gives the record.
  template <typename At>
  Slot find(const Key& key, At&& at) const {
    const uint64_t hash = traits_.hash(key);
    const std::vector<Place>& places = segments_[hash >> kShift].places;
    if (places.empty()) return kNoSlot;
    const size_t mask = places.size() - 1;
    const auto part = static_cast<uint32_t>(hash);
    for (size_t i = part & mask; places[i].slot != kNoSlot; i = (i + 1) & mask) {
      if (places[i].part == part && Traits::key(at(places[i].slot)) == key) return places[i].slot;
    }
    return kNoSlot;
  }

  // Asks for the memory where find() will look first.
  void prefetch(const Key& key) const {
    const uint64_t hash = traits_.hash(key);
    const std::vector<Place>& places = segments_[hash >> kShift].places;
    if (!places.empty()) __builtin_prefetch(&places[static_cast<uint32_t>(hash) & (places.size() - 1)]);
  }

  // No record with this key is in the index.
  void insert(const Key& key, Slot slot) {
    const uint64_t hash = traits_.hash(key);
    Segment& segment = segments_[hash >> kShift];
    if (5 * (segment.n_used + 1) > 4 * segment.places.size()) grow(segment);
    put(segment, {slot, static_cast<uint32_t>(hash)});
    ++segment.n_used;
  }

  // The slot is in the index under this key.
  void erase(const Key& key, Slot slot) {
    const uint64_t hash = traits_.hash(key);
    Segment& segment = segments_[hash >> kShift];
    std::vector<Place>& places = segment.places;
    const size_t mask = places.size() - 1;
    size_t hole = hash & mask;
    while (places[hole].slot != slot) hole = (hole + 1) & mask;
    // What stands behind the hole and may stand in it moves up, so that no search ends too early.
    for (size_t i = (hole + 1) & mask; places[i].slot != kNoSlot; i = (i + 1) & mask) {
      const size_t home = places[i].part & mask;
      if (((i - home) & mask) >= ((i - hole) & mask)) {
        places[hole] = places[i];
        hole = i;
      }
    }
    places[hole] = Place{};
    --segment.n_used;
  }

 private:
  static constexpr int kShift = 56;  // 256 segments
  struct Place {
    Slot slot = kNoSlot;
    uint32_t part = 0;  // the low half of the hash, which also is where it would stand
  };
  struct Segment {
    std::vector<Place> places;
    size_t n_used = 0;
  };

  static void put(Segment& segment, Place place) {
    const size_t mask = segment.places.size() - 1;
    size_t i = place.part & mask;
    while (segment.places[i].slot != kNoSlot) i = (i + 1) & mask;
    segment.places[i] = place;
  }
  static void grow(Segment& segment) {
    std::vector<Place> old(std::max<size_t>(2 * segment.places.size(), 16));
    old.swap(segment.places);
    for (const Place& place : old) {
      if (place.slot != kNoSlot) put(segment, place);
    }
  }

  [[no_unique_address]] Traits traits_;
  std::array<Segment, 256> segments_;
};

// Ids come from outside: keyed, so that nobody can choose sixty thousand that all belong in one place.
struct ById {
  using Key = JobId;
  KeyedHash keyed;
  static const JobId& key(const JobRecord& record) { return record.id; }
  uint64_t hash(const JobId& id) const { return keyed(id.bytes); }
};
// The hash of a payload is keyed already.
struct ByPayload {
  using Key = Hash128;
  static const Hash128& key(const JobRecord& record) { return record.payload_hash; }
  static uint64_t hash(const Hash128& hash) { return hash.low64(); }
};

// Records stay where they are until erased. One thread.
class JobTable {
 public:
  // The seed is a secret of the journal.
  explicit JobTable(uint64_t hash_seed) : ids_(ById{KeyedHash(hash_seed)}) {}

  JobRecord& operator[](Slot slot) { return chunks_[slot / kChunk][slot % kChunk]; }
  const JobRecord& operator[](Slot slot) const { return chunks_[slot / kChunk][slot % kChunk]; }

  // `record.id` is new, and its sequence the largest so far.
  Slot add(const JobRecord& record);
  void erase(Slot slot);  // its outcome is forgotten
  Slot find(const JobId& id) const {
    return ids_.find(id, [this](Slot slot) -> const JobRecord& { return (*this)[slot]; });
  }

  // To be called for each place i of a list whose ids are to be found in order: with millions of jobs the
  // index is nowhere near, and what was asked for some places ahead is there when it is needed.
  template <typename Items>
  void prefetch(const Items& items, size_t i) const {
    constexpr size_t kAhead = 8;
    if (i + kAhead < items.size()) ids_.prefetch(items[i + kAhead].id);
  }

  // A slot together with what tells whether it still is the same job's. Packed by hand: a Sequence beside a
  // Slot would take 16 bytes.
  struct Ticket {
    Slot slot = kNoSlot;
    uint32_t low = 0, high = 0;
    Sequence sequence() const { return static_cast<Sequence>(high) << 32 | low; }
    bool operator==(const Ticket&) const = default;
  };
  Ticket ticket(Slot slot) const {
    const Sequence sequence = (*this)[slot].sequence;
    return {slot, static_cast<uint32_t>(sequence), static_cast<uint32_t>(sequence >> 32)};
  }
  bool is_same(Ticket ticket) const { return (*this)[ticket.slot].sequence == ticket.sequence(); }
  // In a list in order of sequences: the first that is not before `at`.
  static auto place_of(auto& tickets, Sequence at) {
    return std::lower_bound(tickets.begin(), tickets.end(), at,
                            [](const Ticket& one, Sequence than) { return one.sequence() < than; });
  }

  size_t size() const { return n_jobs_; }

  // Jobs without an outcome in order of arrival, from the first whose sequence is above `after`, until
  // `visit` says false.
  template <typename Visit>
  void for_unfinished(Sequence after, Visit&& visit) const;
  // A finished job is unfinished again, in its old place.
  void arrive_again(Slot slot);
  // To be called now and then: drops what finished from the order of arrival.
  void tidy();

 private:
  static constexpr size_t kChunk = 1u << 14;
  bool is_unfinished(const Ticket& arrival) const {
    return is_same(arrival) && !is_finished((*this)[arrival.slot].state);
  }

  std::vector<std::unique_ptr<JobRecord[]>> chunks_;
  std::vector<Slot> free_;
  size_t n_slots_ = 0, n_jobs_ = 0;
  SlotIndex<ById> ids_;
  std::deque<Ticket> arrivals_;  // finished jobs stay in it until tidied up
  size_t n_arrivals_seen_ = 0;   // when it was last tidied up
};

template <typename Visit>
void JobTable::for_unfinished(Sequence after, Visit&& visit) const {
  for (auto arrival = place_of(arrivals_, after + 1); arrival != arrivals_.end(); ++arrival) {
    if (is_unfinished(*arrival) && !visit(arrival->slot)) return;
  }
}

// A list of jobs through their own `previous` and `next`. A job is in one list at a time.
class SlotList {
 public:
  bool empty() const { return first_ == kNoSlot; }
  size_t size() const { return size_; }
  Slot first() const { return first_; }
  void push_back(JobTable& jobs, Slot slot);
  void remove(JobTable& jobs, Slot slot);

 private:
  Slot first_ = kNoSlot, last_ = kNoSlot;
  size_t size_ = 0;
};

}  // namespace tandem::broker

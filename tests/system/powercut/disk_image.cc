#include "tests/system/powercut/disk_image.h"

#include <algorithm>

namespace tandem::testing {
namespace {

constexpr size_t kSector = 512;

void put(std::string& file, uint64_t offset, std::string_view bytes) {
  if (file.size() < offset + bytes.size()) file.resize(offset + bytes.size(), '\0');
  file.replace(offset, bytes.size(), bytes);
}

void perform(std::string& file, const WriteRecord& record) {
  if (record.kind == WriteKind::kTruncate) {
    file.resize(record.offset, '\0');
  } else {
    put(file, record.offset, record.bytes);
  }
}

// Sectors are where they are in the file, not in the write.
void perform_some_sectors(std::string& file, const WriteRecord& record, std::mt19937_64& random) {
  if (record.kind == WriteKind::kTruncate) {
    if (random() % 2 == 0) file.resize(record.offset, '\0');
    return;
  }
  for (size_t from = 0; from < record.bytes.size();) {
    const size_t in_sector = kSector - (record.offset + from) % kSector;
    const size_t n_bytes = std::min(in_sector, record.bytes.size() - from);
    if (random() % 2 == 0)
      put(file, record.offset + from, std::string_view(record.bytes).substr(from, n_bytes));
    from += n_bytes;
  }
}

}  // namespace

void DiskImage::apply(const WriteRecord& record) {
  if (record.kind == WriteKind::kFolderSync) {
    // Of the folder itself: names further down stay unsure.
    for (auto& [name, file] : files_) {
      if (name.find('/') == std::string::npos) file.name_before.reset();
    }
    return;
  }
  if (record.kind == WriteKind::kRenamed) {
    auto moved = files_.extract(record.bytes);
    if (moved.empty()) return;
    moved.key() = record.name;
    moved.mapped().name_before = record.bytes;
    files_.erase(record.name);
    files_.insert(std::move(moved));
    return;
  }
  File& file = files_[record.name];
  switch (record.kind) {
    case WriteKind::kCreated:
      file.name_before = "";
      break;
    case WriteKind::kWrite:
    case WriteKind::kTruncate:
      file.pending.push_back({record, false});
      break;
    case WriteKind::kDurable:
      if (!file.pending.empty()) file.pending.back().durable = true;
      break;
    case WriteKind::kSync:
      for (const Pending& pending : file.pending) perform(file.synced, pending.record);
      file.pending.clear();
      break;
    default:
      break;
  }
}

DiskImage::Files DiskImage::after_power_cut(Luck luck, std::mt19937_64& random) const {
  Files found;
  for (const auto& [name, file] : files_) {
    std::string name_found = name;
    if (file.name_before && (luck == Luck::kNothing || (luck != Luck::kEverything && random() % 2 == 0))) {
      name_found = *file.name_before;
    }
    if (name_found.empty()) continue;
    std::string& content = found[name_found] = file.synced;
    for (const Pending& pending : file.pending) {
      if (pending.durable || luck == Luck::kEverything) {
        perform(content, pending.record);
      } else if (luck == Luck::kSomeWrites) {
        if (random() % 2 == 0) perform(content, pending.record);
      } else if (luck == Luck::kSomeSectors) {
        perform_some_sectors(content, pending.record, random);
      }
    }
  }
  return found;
}

}  // namespace tandem::testing

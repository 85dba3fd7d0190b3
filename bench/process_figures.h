// What another process has used up to now, from /proc/<pid>. All are 0 once it is gone.

#pragma once

#include <sys/types.h>

#include <cstdint>

namespace tandem::bench {

// User and system time of all its threads, in microseconds; counted by the kernel in steps of 10,000.
double cpu_us(pid_t pid);
// What it made the kernel write to files: whole pages, also those that it wrote twice.
uint64_t written_bytes(pid_t pid);
// Resident memory that is no file's: heap and stacks, without the journal's memory map.
uint64_t anonymous_bytes(pid_t pid);

}  // namespace tandem::bench

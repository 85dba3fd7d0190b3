#include "broker/upkeep_verbs.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <system_error>
#include <utility>

#include "broker/fact_codec.h"
#include "broker/upkeep/journal_check.h"
#include "broker/upkeep/journal_dump.h"
#include "broker/upkeep/journal_reader.h"
#include "shared/base/file.h"
#include "shared/base/format.h"
#include "shared/base/standard_output.h"
#include "shared/store/compact.h"

namespace tandem::broker {
namespace {

namespace fs = std::filesystem;

// Exit statuses.
constexpr int kGood = 0;
constexpr int kFailed = 1;
constexpr int kNothingThere = 2;
constexpr int kNotWritten = 4;

int complain(const Error& error) {
  std::fprintf(stderr, "tandem-broker: %s\n", error.text.c_str());
  return error.code == ErrorCode::kCorrupt ? kFailed : kNothingThere;
}

// What was printed and is lost is no success.
int printed_well(int status) {
  const auto written = flush_standard_output();
  if (written) return status;
  complain(written.error());
  return status == kGood ? kNotWritten : status;
}

// fmt::print() throws where the disk is full.
template <typename... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  std::fputs(fmt::format(format, std::forward<Args>(args)...).c_str(), stdout);
}

// LMDB trusts what it reads: a tree that is broken, or a file that ends too early, ends the process. So that
// is another one, which does not outlive this one. Its exit status, or 128 and the signal that ended it.
int in_child(const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return complain({ErrorCode::kIo, std::string("cannot fork: ") + std::strerror(errno)});
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(printed_well(body()));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Of a child that ended by a signal: that of LMDB on a broken journal, or somebody else's.
int complain_of_signal(const fs::path& folder, int status) {
  const int number = status - 128;
  const bool is_damage = number == SIGBUS || number == SIGSEGV || number == SIGABRT;
  const char* what = is_damage ? "damage: its pages cannot be followed, or its file was cut short"
                               : "the work was ended from outside";
  return complain({ErrorCode::kCorrupt, fmt::format("journal {}: {} (signal {}); it is as it was",
                                                    folder.string(), what, number)});
}

std::string mib(uint64_t n_bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(n_bytes) / (1 << 20));
}

void print(const JournalReader& journal, const JournalReport& report) {
  std::string jobs;
  for (size_t state = 0; state < report.n_jobs.size(); ++state) {
    const bool has_name = static_cast<JobState>(state) != JobState::kUnknown &&
                          static_cast<JobState>(state) != JobState::kLeased;
    const std::string_view name = static_cast<JobState>(state) == JobState::kReady
                                      ? "unfinished"
                                      : to_string(static_cast<JobState>(state));
    if (has_name) jobs += fmt::format(" {}={}", name, report.n_jobs[state]);
  }
  std::error_code error;
  const uintmax_t file = fs::file_size(journal.environment().folder() / "data.mdb", error);
  say("journal {}\nformat version {}\n", journal.environment().folder().string(), kFormatVersion);
  say("facts accepted={} finished={} acknowledged={}\njobs{}\n", report.n_accepted, report.n_finished,
      report.n_acknowledged, jobs);
  if (const auto usage = journal.usage()) {
    say("bytes payloads={} used={} file={} limit={}\n", mib(report.payload_bytes), mib(usage->bytes_used),
        mib(error ? 0 : file), mib(usage->bytes_max));
  }
  if (report.n_facts > 0) {
    say("oldest {}\nnewest {}\n", utc_text(report.oldest_ms), utc_text(report.newest_ms));
  }
}

int check_here(const fs::path& folder, bool is_quiet) {
  const auto journal = JournalReader::open(folder);
  if (!journal) return complain(journal.error());
  const bool shows_progress = !is_quiet && ::isatty(STDERR_FILENO) != 0;
  const auto report = check_journal(*journal, [&](uint64_t n_done, uint64_t n_all) {
    if (shows_progress) fmt::print(stderr, "\r{} of {} facts", n_done, n_all);
  });
  if (shows_progress) fmt::print(stderr, "\r\x1b[K");
  if (!report) return complain(report.error());
  if (!is_quiet) print(*journal, *report);
  for (const std::string& damage : report->damages) say("damage: {}\n", damage);
  if (report->n_damages > report->damages.size()) {
    say("and {} more\n", report->n_damages - report->damages.size());
  }
  if (!is_quiet) say("{}\n", report->n_damages == 0 ? "good" : "damaged");
  return report->n_damages == 0 ? kGood : kFailed;
}

int check_folder(const fs::path& folder, bool is_quiet) {
  const int status = in_child([&] { return check_here(folder, is_quiet); });
  if (status <= 128) return status;
  say("damage: journal {}: its pages cannot be followed, or its file was cut short (signal {})\n",
      folder.string(), status - 128);
  return kFailed;
}

int dump_folder(const fs::path& folder, const DumpOptions& options) {
  const int status = in_child([&] {
    const auto journal = JournalReader::open(folder);
    if (!journal) return complain(journal.error());
    const uint64_t n_damaged = dump_journal(*journal, options, [](const std::string& line) {
      std::fwrite(line.data(), 1, line.size(), stdout);
      std::fputc('\n', stdout);
    });
    return n_damaged == 0 ? kGood : kFailed;
  });
  if (status <= 128 || status == 128 + SIGPIPE) return status;
  return complain({ErrorCode::kCorrupt, "journal " + folder.string() + ": its pages cannot be followed"});
}

Result<void> check_copy(const fs::path& copy) {
  if (check_folder(copy, true) == kGood) return {};
  return fail(ErrorCode::kCorrupt,
              copy.string() + ": the copy is damaged, see above; the journal is as it was");
}

int compact_here(const fs::path& folder) {
  if (const auto journal = JournalReader::open(folder); !journal) return complain(journal.error());
  const auto sizes = compact_store(folder, check_copy);
  if (!sizes) {
    complain(sizes.error());
    return sizes.error().code == ErrorCode::kExists ? kNothingThere : kFailed;
  }
  say("compacted {}: {} before, {} now\n", folder.string(), mib(sizes->bytes_before),
      mib(sizes->bytes_after));
  return kGood;
}

int compact_folder(const fs::path& folder) {
  const int status = in_child([&] { return compact_here(folder); });
  if (status <= 128) return status;
  remove_unfinished_compaction(folder);
  return complain_of_signal(folder, status);
}

// The name of a copy until it is whole.
fs::path partial_of(const fs::path& destination) {
  return destination.string() + ".partial";
}

Result<void> copy_journal(const JournalReader& journal, const fs::path& destination) {
  std::error_code error;
  if (fs::exists(destination, error) && !fs::is_empty(destination, error)) {
    return fail(ErrorCode::kExists,
                destination.string() + ": expected an empty folder, or nothing of that name");
  }
  const fs::path parent = fs::absolute(destination).lexically_normal().parent_path();
  const fs::path partial = partial_of(destination);
  fs::remove_all(partial, error);
  fs::create_directory(partial, error);
  if (error) return fail(ErrorCode::kIo, partial.string() + ": cannot make the folder: " + error.message());
  fs::permissions(partial, fs::perms::owner_all, error);  // there are texts in it
  auto copied = journal.environment().copy_to(partial);
  if (copied) copied = check_copy(partial);
  if (copied) copied = sync_to_disk(partial);
  if (copied) {
    fs::rename(partial, destination, error);
    if (error)
      copied = fail(ErrorCode::kIo, destination.string() + ": cannot rename to it: " + error.message());
  }
  if (copied) return sync_to_disk(parent);
  fs::remove_all(partial, error);
  return copied;
}

int back_up_here(const fs::path& folder, const fs::path& destination) {
  const auto journal = JournalReader::open(folder);
  if (!journal) return complain(journal.error());
  if (const auto copied = copy_journal(*journal, destination); !copied) {
    complain(copied.error());
    return copied.error().code == ErrorCode::kExists ? kNothingThere : kFailed;
  }
  std::error_code error;
  say("backed up {} to {}: {}\n", folder.string(), destination.string(),
      mib(fs::file_size(destination / "data.mdb", error)));
  return kGood;
}

int back_up(const fs::path& folder, fs::path destination) {
  if (!destination.has_filename()) destination = destination.parent_path();  // "backups/monday/"
  const int status = in_child([&] { return back_up_here(folder, destination); });
  if (status <= 128) return status;
  std::error_code ignored;
  fs::remove_all(partial_of(destination), ignored);
  return complain_of_signal(folder, status);
}

}  // namespace

void UpkeepVerbs::add_to(CLI::App& app) {
  check = app.add_subcommand("check", "look whether a journal is whole, also beside a running broker");
  dump = app.add_subcommand("dump", "print the facts of a journal, one a line, also beside a running broker");
  compact =
      app.add_subcommand("compact", "give a journal's free pages back to the disk; the broker must not run");
  backup = app.add_subcommand("backup", "copy a journal to a new folder, also beside a running broker");
  for (CLI::App* verb : {check, dump, compact}) {
    verb->add_option("FOLDER", folder, "the journal; by default that of the settings");
  }
  backup->add_option("FOLDER", destination, "where to, a new or empty folder")->required();
  dump->add_flag("--json", json, "an object a line");
  dump->add_flag("--payloads", payloads, "with payloads: texts of users");
  check->footer("Exit status: 0 good, 1 damaged, 2 no journal there, 4 good, and what was printed is lost.");
  for (CLI::App* verb : {check, dump, compact, backup}) verb->fallthrough();
  app.require_subcommand(0, 1);
}

bool UpkeepVerbs::parsed() const {
  return check->parsed() || dump->parsed() || compact->parsed() || backup->parsed();
}

int UpkeepVerbs::run(const fs::path& configured) const {
  const fs::path journal = folder.empty() ? configured : fs::path(folder);
  if (check->parsed()) return printed_well(check_folder(journal, false));
  if (dump->parsed()) return printed_well(dump_folder(journal, {json, payloads}));
  if (compact->parsed()) return printed_well(compact_folder(journal));
  return printed_well(back_up(journal, destination));
}

}  // namespace tandem::broker

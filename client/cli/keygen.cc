// tandem keygen: keys for brokers, workers and clients that meet over a network.

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "client/cli/program.h"
#include "shared/base/file.h"
#include "shared/base/standard_output.h"
#include "shared/net/allowlist.h"
#include "shared/net/keys.h"

namespace tandem::cli {
namespace {

struct KeygenOptions {
  std::string name;
  std::string role;
  std::string out;
};

constexpr const char* kAbout =
    R"(Make a key pair for a broker, a worker or a client.

Over tcp everybody has a key. The secret half stays in its file, on its machine; public halves go round: the broker's
to everybody, everybody's into the broker's allow file.)";

constexpr const char* kExamples = R"(Examples:
  tandem keygen broker --role broker -o broker.key     also writes broker.pub, for workers and clients
  tandem keygen host7 --role worker -o host7.key       one key does for all workers of a host
  tandem keygen ann --role client -o ann.key           the client is called ann
  tandem keygen ann --role client -o ann.key >> allow  the line for the allow file goes there
  tandem keygen ops --role admin -o ops.key

Then:
  tandem-broker --set security.secret_key_file=broker.key --set security.allow_file=allow \
      --set 'broker.submit=tcp://*:5555' --set 'broker.work=tcp://*:5556' \
      --set 'broker.results_in=tcp://*:5557' --set 'broker.results_out=tcp://*:5558'
  tandem-worker --set security.key_file=host7.key --set security.server_key=broker.pub \
      --work tcp://BROKER:5556 --results tcp://BROKER:5557
  tandem submit "I love it" --set security.key_file=ann.key --set security.server_key=broker.pub \
      --set client.submit=tcp://BROKER:5555 --set client.results=tcp://BROKER:5558)";

// broker.key > broker.pub
std::string public_file(const std::string& secret_file) {
  constexpr std::string_view kEnd = ".key";
  const bool has_end = secret_file.size() > kEnd.size() && secret_file.ends_with(kEnd);
  return (has_end ? secret_file.substr(0, secret_file.size() - kEnd.size()) : secret_file) + ".pub";
}

// To standard output. The key file is there by now and is not made again, so a line that is lost is said.
int hand_out(const std::string& line) {
  std::cout << line << "\n";
  const auto written = flush_standard_output();
  if (written) return kGood;
  return complain(
      "keygen", {written.error().code, written.error().text + "; the key is made, and the line is: " + line},
      kBroken);
}

int keygen(const KeygenOptions& options) {
  const auto pair = make_key_pair(options.name);
  if (!pair) return complain("keygen", pair.error(), exit_code_of(pair.error()));
  if (auto saved = save_key_pair(options.out, *pair); !saved) {
    if (saved.error().code == ErrorCode::kExists) {
      return complain(
          "keygen",
          {ErrorCode::kExists, options.out + ": there is a file of that name, which is left as it is; "
                                             "a key that is overwritten is gone"},
          kUsage);
    }
    return complain("keygen", saved.error(), exit_code_of(saved.error()));
  }
  // What goes on is printed to standard output, what it means to standard error: the first can be appended to
  // a file.
  if (options.role == "broker") {
    const std::string file = public_file(options.out);
    if (auto written = write_file_atomically(file, public_key_text(*pair)); !written) {
      return complain("keygen", written.error(), exit_code_of(written.error()));
    }
    std::cerr << "secret key: " << options.out << " (security.secret_key_file of the broker; keep it there)\n"
              << "public key: " << file << " (security.server_key of workers and clients)\n";
    return hand_out(pair->public_key);
  }
  const auto role = parse_role(options.role);
  if (!role) return complain("keygen", role.error(), kUsage);
  std::cerr << "secret key: " << options.out << " (security.key_file; keep it there)\n"
            << "public key: " << pair->public_key << "\n"
            << "line for the broker's allow file:\n";
  return hand_out(allow_line({*role, pair->name}, pair->public_key));
}

}  // namespace

void add_keygen(CLI::App& app, Program& program) {
  const auto options = std::make_shared<KeygenOptions>();
  CLI::App* verb = app.add_subcommand("keygen", kAbout);
  verb->add_option("NAME", options->name, "Of the client, of the worker or its host, or of the broker")
      ->required();
  verb->add_option("--role", options->role, "broker, worker, client or admin")
      ->required()
      ->check(CLI::IsMember({"broker", "worker", "client", "admin"}));
  verb->add_option("-o,--out", options->out,
                   "The secret key file, for its owner only (mode 0600); never overwritten")
      ->type_name("FILE")
      ->required();
  verb->footer(kExamples);
  verb->callback([options, &program] { program.exit_code = keygen(*options); });
}

}  // namespace tandem::cli

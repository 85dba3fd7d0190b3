// The client library in a page: classify a few texts and print what came back, in the order of completion.
//
//   client_example SUBMIT_ENDPOINT RESULTS_ENDPOINT TASK TEXT...

#include <cstdio>
#include <map>

#include "client/include/tandem/client.h"

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "expected SUBMIT_ENDPOINT RESULTS_ENDPOINT TASK TEXT...\n");
    return 2;
  }
  tandem::ClientOptions options;
  options.submit_endpoint = argv[1];
  options.results_endpoint = argv[2];
  auto opened = tandem::Client::open(options);
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().text.c_str());
    return 2;
  }
  tandem::Client& client = **opened;

  std::map<tandem::JobId, std::string> texts;
  for (int i = 4; i < argc; ++i) {
    tandem::JobRequest request;
    request.text = argv[i];
    request.tasks = {argv[3]};
    const auto id = client.submit(request);  // an Error here is the text's fault: too long, no UTF-8
    if (!id) {
      std::fprintf(stderr, "%s: %s\n", argv[i], id.error().text.c_str());
      continue;
    }
    texts[*id] = argv[i];
  }

  // Everything that may go wrong on the way (a lost message, a broker that restarts) is the library's
  // business: each job has exactly one outcome.
  while (client.n_outstanding() > 0) {
    for (const tandem::ClientEvent& event : client.wait(std::chrono::seconds(1))) {
      const auto* outcome = std::get_if<tandem::Outcome>(&event);
      if (outcome == nullptr) continue;  // a part of an answer, before the whole
      const char* text = texts[outcome->id].c_str();
      if (!outcome->result) {
        std::printf("%s: failed: %s\n", text, outcome->result.error().text.c_str());
        continue;
      }
      for (const tandem::TaskResult& task : outcome->result->tasks) {
        if (task.label)
          std::printf("%s: %s (%.2f)\n", text, task.label->label.c_str(), task.label->probability);
        if (task.text) std::printf("%s: %s\n", text, task.text->text.c_str());
        if (task.error) std::printf("%s: failed: %s\n", text, task.error->text.c_str());
      }
    }
  }
  return 0;
}

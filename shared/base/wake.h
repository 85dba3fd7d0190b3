// A wake-up that poll() understands: lets a thread that waits on sockets hear of its inbox, too.

#pragma once

namespace tandem {

// Safe from any thread and from signal handlers. Many calls of set() before a clear() count as one.
class Wake {
 public:
  Wake();
  ~Wake();
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;

  void set() noexcept;
  void clear() noexcept;
  // Readable while set. For zmq::poll or poll(2).
  int fd() const { return read_fd_; }

 private:
  int read_fd_ = -1;
  int write_fd_ = -1;
};

}  // namespace tandem

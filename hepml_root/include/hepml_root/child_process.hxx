// A program as a child process, whose output is read line by line while it runs. POSIX, without a shell.

#ifndef HEPML_ROOT_CHILD_PROCESS_HXX
#define HEPML_ROOT_CHILD_PROCESS_HXX

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace hepml_root {

/// Runs a program. Its standard input is empty.
class ChildProcess {
public:
   /// Takes a line without its end; `of_errors`: it was written to the standard error.
   using Line = std::function<void(const std::string& line, bool of_errors)>;

   /// Run `words[0]` with the other words as arguments; give every line to `line` as it comes; return the
   /// exit code, 128 + the signal if it was ended by one.
   ///
   /// Throws std::runtime_error if the program cannot be started. If `line` throws, the program is ended.
   static int Run(const std::vector<std::string>& words, const Line& line) {
      Pipe out, err;
      const pid_t child = Start(words, out, err);
      Guard guard{child};
      out.CloseWriting();
      err.CloseWriting();
      std::string rest[2];
      int from[2] = {out.ends[0], err.ends[0]};
      while (from[0] >= 0 || from[1] >= 0) {
         fd_set ready; // not poll(), whose header ROOT's interpreter does not take
         FD_ZERO(&ready);
         for (const int end : from)
            if (end >= 0)
               FD_SET(end, &ready);
         if (select(std::max(from[0], from[1]) + 1, &ready, nullptr, nullptr, nullptr) < 0) {
            if (errno == EINTR)
               continue;
            throw std::runtime_error(std::string("hepml_root: select: ") + std::strerror(errno));
         }
         for (int i = 0; i < 2; ++i)
            if (from[i] >= 0 && FD_ISSET(from[i], &ready) && !Read(from[i], rest[i], line, i == 1))
               from[i] = -1;
      }
      return guard.Wait();
   }

private:
   struct Pipe {
      int ends[2];
      Pipe() {
         if (pipe(ends) != 0)
            throw std::runtime_error(std::string("hepml_root: pipe: ") + std::strerror(errno));
         // Another child that is started meanwhile must not keep the end for writing.
         for (const int end : ends)
            fcntl(end, F_SETFD, FD_CLOEXEC);
         if (std::max(ends[0], ends[1]) >= FD_SETSIZE) {
            close(ends[0]);
            CloseWriting();
            throw std::runtime_error("hepml_root: too many files are open to start a program");
         }
      }
      Pipe(const Pipe&) = delete;
      Pipe& operator=(const Pipe&) = delete;
      ~Pipe() {
         close(ends[0]);
         CloseWriting();
      }
      void CloseWriting() {
         if (ends[1] >= 0)
            close(ends[1]);
         ends[1] = -1;
      }
   };

   /// Sees to it that no child is left behind.
   struct Guard {
      pid_t child;
      int Wait() {
         int status = 0;
         while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
         }
         child = -1;
         return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
      ~Guard() {
         if (child > 0) {
            kill(child, SIGTERM);
            Wait();
         }
      }
   };

   static pid_t Start(const std::vector<std::string>& words, const Pipe& out, const Pipe& err) {
      std::vector<char*> arguments;
      for (const std::string& word : words)
         arguments.push_back(const_cast<char*>(word.c_str()));
      arguments.push_back(nullptr);
      posix_spawn_file_actions_t actions;
      posix_spawn_file_actions_init(&actions);
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
      posix_spawn_file_actions_adddup2(&actions, out.ends[1], 1);
      posix_spawn_file_actions_adddup2(&actions, err.ends[1], 2);
      pid_t child = -1;
      const int failed = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
      posix_spawn_file_actions_destroy(&actions);
      if (failed)
         throw std::runtime_error("hepml_root: the program '" + words[0] +
                                  "' cannot be started: " + std::strerror(failed));
      return child;
   }

   /// Read what is there; false at the end.
   static bool Read(int from, std::string& rest, const Line& line, bool of_errors) {
      char room[4096];
      const ssize_t count = read(from, room, sizeof(room));
      if (count < 0 && errno == EINTR)
         return true;
      if (count > 0) {
         rest.append(room, static_cast<std::size_t>(count));
         std::size_t begin = 0;
         for (auto end = rest.find('\n'); end != std::string::npos; end = rest.find('\n', begin)) {
            line(rest.substr(begin, end - begin), of_errors);
            begin = end + 1;
         }
         rest.erase(0, begin);
         return true;
      }
      if (!rest.empty())
         line(rest, of_errors);
      return false;
   }
};

} // namespace hepml_root

#endif

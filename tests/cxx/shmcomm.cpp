/*
 * Uses every class of shmcomm.hpp. Arguments: a posix: name, a sysv: name. Prints what failed, and
 * fails then.
 */
#include "shmcomm.hpp"
#include "shmcomm.hpp"

#include <atomic>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace std::chrono_literals;

static int failures = 0;

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            std::cerr << __FILE__ << ':' << __LINE__ << ": " << #condition << '\n'; \
            failures++;                                                              \
        }                                                                            \
    } while (false)

/* Whether the call fails with this error. */
template <class Call>
static bool fails(std::errc error, Call call)
{
    try {
        call();
    } catch (const std::system_error &failure) {
        if (failure.code() == error)
            return true;
        std::cerr << failure.what() << '\n';
    }
    return false;
}

struct point {
    int x, y;
};

struct shared {
    shmc_mutex mutex;
    int counter;
    std::atomic<int> word;
};

static void timeouts()
{
    static_assert(shmcomm::timeout(5s).milliseconds() == 5000);
    static_assert(shmcomm::timeout(1us).milliseconds() == 1);
    static_assert(shmcomm::timeout(1500us).milliseconds() == 2);
    static_assert(shmcomm::timeout(0s).milliseconds() == 0);
    static_assert(shmcomm::timeout(-5s).milliseconds() == 0);
    static_assert(shmcomm::timeout(std::chrono::hours::max()).milliseconds() == INT_MAX);
    static_assert(shmcomm::timeout(std::chrono::hours::min()).milliseconds() == 0);
}

static void segments(const std::string &name)
{
    static_assert(!std::is_copy_constructible_v<shmcomm::segment>);
    static_assert(std::is_nothrow_move_constructible_v<shmcomm::segment>);
    CHECK(fails(std::errc::no_such_file_or_directory, [&] { shmcomm::segment s(name); }));

    shmcomm::segment first(name, 5000, SHMC_CREATE | SHMC_EXCL);
    shmcomm::segment segment = std::move(first);
    CHECK(segment.size() == 5000 && segment.data() == shmc_segment_addr(segment.native()));
    CHECK(fails(std::errc::file_exists,
                [&] { shmcomm::segment s(name, 5000, SHMC_CREATE | SHMC_EXCL); }));
    segment.at<shared>().counter = 7;
    CHECK(shmcomm::segment(name).at<shared>().counter == 7);
    CHECK(&segment.at<int>(4996) == static_cast<int *>(segment.data()) + 1249);
    for (std::size_t offset : {std::size_t{4997}, std::size_t{5000}, std::size_t{2},
                               static_cast<std::size_t>(-4)})
        CHECK(fails(std::errc::invalid_argument, [&] { segment.at<int>(offset); }));
    segment.chmod(0640);
    segment.chown(geteuid(), getegid());
    segment.sync();
    segment.lock();
    CHECK(segment.stat().mode == 0640 && segment.stat().locked == 1);
    segment.unlock();
#ifdef __cpp_lib_span
    segment.bytes().back() = std::byte{1};
    CHECK(segment.at<unsigned char>(4999) == 1);
#endif
    segment = shmcomm::segment("anon:", 100);
    shmcomm::remove(name);
    CHECK(fails(std::errc::no_such_file_or_directory, [&] { shmcomm::remove(name); }));
}

static void mutexes()
{
    static_assert(!std::is_copy_constructible_v<shmcomm::mutex>);
    shmcomm::segment segment("anon:", sizeof(shared));
    shared &data = segment.at<shared>();
    shmcomm::mutex mutex(data.mutex);

    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([&data] {
            shmcomm::mutex own(data.mutex);
            for (int j = 0; j < 1000; j++) {
                std::lock_guard guard(own);
                data.counter++;
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    CHECK(data.counter == 4000);
    {
        std::unique_lock lock(mutex, 5s);
        CHECK(lock.owns_lock() && !mutex.owner_died());
        CHECK(fails(std::errc::resource_deadlock_would_occur, [&] { mutex.lock(); }));
        std::thread other([&data] {
            shmcomm::mutex own(data.mutex);
            CHECK(!own.try_lock());
            CHECK(!own.try_lock_for(10ms));
            CHECK(!std::unique_lock(own, std::chrono::steady_clock::now() + 10ms));
            CHECK(fails(std::errc::operation_not_permitted, [&] { own.unlock(); }));
        });
        other.join();
    }
    const pid_t child = fork();
    if (child == 0) {
        mutex.lock();
        _exit(0);
    }
    CHECK(waitpid(child, nullptr, 0) == child);
    {
        std::scoped_lock guard(mutex);
        CHECK(mutex.owner_died());
    }
    CHECK(mutex.try_lock() && !mutex.owner_died());
    mutex.unlock();
    shmcomm::mutex moved = std::move(mutex);
    std::lock_guard guard(moved);
}

static void semaphores(const std::string &name)
{
    shmcomm::semaphore semaphore(name, 1, SHMC_CREATE | SHMC_EXCL);
    semaphore.acquire();
    CHECK(!semaphore.try_acquire() && !semaphore.try_acquire_for(10ms) && semaphore.value() == 0);
    semaphore.release();
    CHECK(semaphore.try_acquire());
    semaphore.release();
    CHECK(shmc_sem_value(semaphore.native()) == 1);
    shmcomm::semaphore::remove(name);
    CHECK(fails(std::errc::identifier_removed, [&] { semaphore.acquire(); }));
    CHECK(fails(std::errc::identifier_removed, [&] { (void)semaphore.value(); }));
    CHECK(fails(std::errc::no_such_file_or_directory, [&] { shmcomm::semaphore s(name); }));
}

static void channels(const std::string &name, int share)
{
    static_assert(!std::is_copy_constructible_v<shmcomm::channel>);
    static_assert(!std::is_copy_constructible_v<shmcomm::message>);
    static_assert(std::is_nothrow_move_assignable_v<shmcomm::message>);
    shmcomm::channel in(name, SHMC_RECV | SHMC_CREATE | share, 4096);
    std::optional<shmcomm::channel> out(std::in_place, name, SHMC_SEND | share);
    char buffer[100];

    CHECK(!in.peek(0ms) && !in.receive(buffer, sizeof buffer, 10ms));
    out->send("hello");
    out->send(std::string("how are you"));
    out->send(shmcomm::bytes_of(point{3, 4}));
    CHECK(out->send("", 0ms));
    CHECK(in.stat().messages == 4 && in.native() != nullptr);
    CHECK(in.peek().view() == "hello");
    {
        shmcomm::message first = in.peek();
        shmcomm::message same = std::move(first);
        CHECK(first.size() == 0 && same.view() == "how are you");
        same.keep();
    }
    CHECK(in.receive(buffer, sizeof buffer) == 11 && std::memcmp(buffer, "how", 3) == 0);
    {
        std::optional<shmcomm::message> message = in.peek(0ms);
        CHECK(message && message->as<point>().y == 4);
        CHECK(fails(std::errc::bad_message, [&] { (void)message->as<char>(); }));
    }
    CHECK(in.receive(buffer, sizeof buffer, 0ms) == std::size_t{0});
    out->send("too long");
    CHECK(fails(std::errc::message_size, [&] { in.receive(buffer, 7); }));
    {
        shmcomm::message message = in.peek();
        message = shmcomm::message(std::move(message));
        CHECK(message.view() == "too long");
    }

    { auto unsent = out->reserve(100); }
    std::optional<shmcomm::reservation> room = out->reserve(8, 0ms);
    std::memcpy(room->data(), "in place", room->size());
    shmcomm::reservation moved = std::move(*room);
    CHECK(fails(std::errc::invalid_argument, [&] { moved.commit(9); }));
    moved.commit(2);
    CHECK(in.peek().view() == "in");
#ifdef __cpp_lib_span
    const std::vector<std::byte> bytes(3, std::byte{'b'});
    out->send(bytes);
    CHECK(out->send(std::span(bytes).first(2), 1s));
    CHECK(in.peek().bytes().size() == 3);
    CHECK(in.peek().view() == "bb");
    auto span = out->reserve(1);
    span.bytes()[0] = std::byte{'s'};
    span.commit();
    CHECK(in.peek().view() == "s");
#endif

    pollfd wait = {in.fd(), POLLIN, 0};
    CHECK(!in.peek(0ms));
    out->send("poll");
    CHECK(poll(&wait, 1, 60000) == 1);
    CHECK(in.peek().view() == "poll");

    CHECK(fails(std::errc::message_size, [&] { out->send(std::string(4081, 'x')); }));
    while (out->send("full", 0ms))
        ;
    CHECK(!out->reserve(8, 10ms));
    out.reset();
    while (in.peek(0ms))
        if (in.stat().messages == 0)
            break;
    CHECK(fails(std::errc::broken_pipe, [&] { (void)in.peek(); }));
    CHECK(fails(std::errc::invalid_argument, [&] { in.send("wrong end"); }));
    CHECK(fails(std::errc::device_or_resource_busy, [&] {
        shmcomm::channel exclusive(name, SHMC_RECV);
    }));
    shmcomm::remove(name);
}

/* Another handle of a shared end goes on after a reservation that was not committed. */
static void discarded(const std::string &name)
{
    shmcomm::channel one(name, SHMC_SEND | SHMC_CREATE | SHMC_SHARED, 4096);
    shmcomm::channel other(name, SHMC_SEND | SHMC_SHARED);
    { auto unsent = one.reserve(100); }
    CHECK(other.send("fine", 60s));
    shmcomm::remove(name);
}

static void topics(const std::string &name)
{
    static_assert(!std::is_copy_constructible_v<shmcomm::topic>);
    shmcomm::topic writer(name, SHMC_SEND | SHMC_CREATE, 100, 4);
    shmcomm::topic reader(name, SHMC_RECV);
    char buffer[100];
    std::uint64_t number = 0;

    CHECK(!reader.latest(buffer, sizeof buffer) && !reader.read(buffer, sizeof buffer, 10ms));
    CHECK(!reader.peek(0ms));
    writer.write("first");
    std::memcpy(writer.begin(), "second", 6);
    writer.publish(6);
    CHECK(reader.latest(buffer, sizeof buffer, &number) == std::size_t{6} && number == 2);
    CHECK(reader.read(buffer, sizeof buffer).size == 5);
    {
        shmcomm::topic_message message = reader.peek();
        shmcomm::topic_message moved = std::move(message);
        CHECK(moved.view() == "second" && moved.lost() == 0 && moved.release());
    }
    writer.write(shmcomm::bytes_of(point{1, 2}));
    {
        std::optional<shmcomm::topic_message> message = reader.peek(60s);
        CHECK(message && message->view().size() == sizeof(point));
        for (int i = 0; i < 10; i++)
            writer.write("overwrites");
        CHECK(!message->release());
    }
    const shmcomm::reading next = reader.read(buffer, sizeof buffer);
    CHECK(next.size == 10 && next.lost > 0);

    pollfd wait = {reader.fd(), POLLIN, 0};
    while (reader.read(buffer, sizeof buffer, 0ms))
        ;
    writer.write("poll");
    CHECK(poll(&wait, 1, 60000) == 1);
    CHECK(reader.peek().view() == "poll");

    CHECK(fails(std::errc::message_size, [&] { writer.write(std::string(101, 'x')); }));
    CHECK(fails(std::errc::invalid_argument, [&] { reader.write("wrong end"); }));
    CHECK(fails(std::errc::device_or_resource_busy,
                [&] { shmcomm::topic other(name, SHMC_SEND); }));
    CHECK(writer.stat().written == 14 && shmc_topic_stat(reader.native(), nullptr) == -1);
    shmcomm::remove(name);
}

static void on_alarm(int)
{
}

static void interrupted(const std::string &name)
{
    struct sigaction action = {};
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, nullptr);
    const itimerval again = {{0, 20000}, {0, 20000}};
    const itimerval never = {};
    shmcomm::channel in(name, SHMC_RECV | SHMC_CREATE | SHMC_INTR);
    setitimer(ITIMER_REAL, &again, nullptr);
    CHECK(fails(std::errc::interrupted, [&] { (void)in.peek(60s); }));
    setitimer(ITIMER_REAL, &never, nullptr);
    shmcomm::remove(name);
}

int main(int, char **arguments)
{
    const std::string posix = arguments[1];

    try {
        timeouts();
        segments(posix);
        mutexes();
        semaphores(arguments[2]);
        channels(posix, 0);
        channels(posix, SHMC_SHARED);
        discarded(posix);
        topics(posix);
        interrupted(posix);
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        failures++;
    }
    return failures != 0;
}

/* c++ -std=c++17 -o counter counter.cpp -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * A mutex in shared memory, in C++: two processes count with std::lock_guard.
 * One is killed while it holds the mutex; the other learns of it, repairs the
 * data and goes on.
 */
#include "example.h"

#include <exception>
#include <iostream>
#include <mutex>
#include <sys/wait.h>

#include "shmcomm.hpp"

#define COUNT 100000

struct shared {
    shmc_mutex mutex; /* zeros, as a new segment has them, are ready for shmcomm::mutex */
    long counter;
    long same; /* as the counter, unless a process died between the two */
};

/* For the holder of the mutex, before it uses the data. */
static void repair(const shmcomm::mutex &mutex, shared &data)
{
    if (mutex.owner_died()) {
        std::cout << "the other died inside, at " << data.counter << ", " << data.same << std::endl;
        data.same = data.counter;
    }
}

static void count(shared &data)
{
    shmcomm::mutex mutex(data.mutex);

    for (int i = 0; i < COUNT; i++) {
        std::lock_guard guard(mutex);
        repair(mutex, data);
        data.counter++;
        data.same++;
    }
}

static void die_inside(shared &data)
{
    shmcomm::mutex mutex(data.mutex);
    std::lock_guard guard(mutex);

    data.counter++;
    raise(SIGKILL);
}

static void run()
{
    shmcomm::segment segment("anon:", sizeof(shared)); /* this process and its children */
    shared &data = segment.at<shared>();
    const pid_t other = fork();

    if (other == 0) {
        count(data);
        die_inside(data);
    }
    if (other == -1)
        throw std::system_error(errno, std::generic_category(), "fork");
    count(data);

    int status;
    if (waitpid(other, &status, 0) == -1 || !WIFSIGNALED(status))
        throw std::runtime_error("the child was not killed");
    shmcomm::mutex mutex(data.mutex);
    std::lock_guard guard(mutex);
    repair(mutex, data);
    std::cout << "counted to " << data.counter << ", " << data.same << std::endl;
}

int main()
{
    try {
        run();
    } catch (const std::exception &error) {
        std::cerr << "counter: " << error.what() << std::endl;
        return EXIT_FAILURE;
    }
    return std::cout ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* c++ -std=c++17 -o points points.cpp -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * Messages in C++: a child sends points, its parent reads each one where it
 * lies in shared memory. The channel object closes itself, a message frees
 * itself, and what goes wrong is an exception.
 */
#include "example.h"

#include <exception>
#include <iostream>
#include <string>
#include <sys/wait.h>

#include "shmcomm.hpp"

using namespace std::chrono_literals;

struct point {
    double x, y;
};

static int child(const std::string &name)
{
    shmcomm::channel out(name, SHMC_SEND | SHMC_INTR);

    for (int i = 1; i <= 3; i++)
        out.send(shmcomm::bytes_of(point{double(i), double(i * i)}));

    shmcomm::reservation room = out.reserve(sizeof(point)); /* or written in place */
    *static_cast<point *>(room.data()) = {4, 16};
    room.commit();
    std::cout << "child: sent 4 points" << std::endl;
    return EXIT_SUCCESS;
}

static void parent(shmcomm::channel &in)
{
    try {
        for (;;) {
            std::optional<shmcomm::message> message = in.peek(5s); /* without a timeout: for ever */
            if (!message) {
                std::cout << "parent: no point for 5 seconds" << std::endl;
                continue;
            }
            const point p = message->as<point>();
            std::cout << "parent: received " << p.x << ", " << p.y << std::endl;
        }
    } catch (const std::system_error &error) {
        if (error.code() != std::errc::broken_pipe)
            throw;
        std::cout << "parent: the child has exited, and all it sent is here" << std::endl;
    }
}

int main()
{
    const std::string name = "posix:/shmcomm-points-" + std::to_string(getpid());
    int status = EXIT_FAILURE;
    pid_t other = -1;

    catch_signals();
    try {
        shmcomm::channel in(name, SHMC_CREATE | SHMC_RECV | SHMC_INTR, 65536);
        try {
            other = fork();
            if (other == 0)
                return child(name);
            if (other == -1)
                throw std::system_error(errno, std::generic_category(), "fork");
            parent(in);
            status = EXIT_SUCCESS;
        } catch (const std::exception &error) {
            std::cerr << "points: " << error.what() << std::endl;
        }
        if (other != 0) {
            shmcomm::remove(name); /* the name; closing the channel leaves it */
            std::cout << "parent: removed " << name << std::endl;
        }
    } catch (const std::exception &error) {
        std::cerr << "points: " << error.what() << std::endl;
        status = EXIT_FAILURE;
    }
    if (other > 0)
        waitpid(other, nullptr, 0);

    die_of_caught_signal();
    return std::cout ? status : EXIT_FAILURE;
}

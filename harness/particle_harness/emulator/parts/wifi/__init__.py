"""Stand-in for the Wi-Fi chip of Photon and P1: it lets itself be started over SDIO, takes every request and finds no
network.
"""

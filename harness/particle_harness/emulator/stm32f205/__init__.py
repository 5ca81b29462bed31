"""The STM32F205 of Photon, P1 and Electron: what their firmware reaches of it."""

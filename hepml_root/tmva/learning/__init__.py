"""How trees and boxes are grown and searched for: arrays in, trees and boxes out."""
